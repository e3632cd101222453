// How fast can messages be made durable?  Threads create, write 4 KiB, fchmod,
// fsync and close queue files, and remove those that are `backlog` messages old,
// as a relay does.  Compares one flat directory (DirectoryStore) with hashed
// directories spread over the block groups and with recycled files.
//
//   bench_spool_create DIRECTORY [threads] [seconds per round] [rounds]
#include "spool/io.h"
#include "spool/store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <mutex>
#include <thread>
#include <vector>

using namespace bulkhead;

namespace
{

constexpr std::size_t message_size = 4096;
constexpr std::size_t backlog_per_thread = 16;

void require(bool promise, const char* what)
{
    if (promise)
        return;
    std::perror(what);
    std::exit(1);
}

// One way of making messages durable; called by many threads.
class Way
{
public:
    virtual ~Way() = default;
    virtual const char* name() const = 0;
    virtual std::string put(std::string_view bytes) = 0;
    virtual void remove(const std::string& path) = 0;
};

class Flat final : public Way
{
public:
    explicit Flat(const Spool& spool) : spool_(spool), store_(spool) {}
    const char* name() const override { return "(a) one directory"; }
    std::string put(std::string_view bytes) override
    {
        const auto id = store_.put(Queue::incoming, {&bytes, 1});
        require(bool(id), "put");
        return spool_.path_of(Queue::incoming, *id);
    }
    void remove(const std::string& path) override
    {
        require(::unlinkat(spool_.root_fd(), path.c_str(), 0) == 0, "unlink");
    }

private:
    const Spool& spool_;
    DirectoryStore store_;
};

// Finishes an open file as NewQueueFile does.
void finish(int fd, std::string_view bytes)
{
    require(::pwrite(fd, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()), "write");
    require(::fchmod(fd, 0700) == 0 && ::fsync(fd) == 0 && ::close(fd) == 0, "finish");
}

class Hashed final : public Way
{
public:
    explicit Hashed(const Spool& spool) : spool_(spool)
    {
        const std::string top = spool.layout().root + "/active";
        const int fd = ::open(top.c_str(), O_RDONLY | O_DIRECTORY);
        int flags = 0;
        if (::ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) {
            flags |= FS_TOPDIR_FL;
            flagged_ = ::ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0;
        }
        ::close(fd);
        for (const char c : directories)
            ::mkdir((top + '/' + c).c_str(), 0700);
    }
    const char* name() const override { return flagged_ ? "(b) 62 directories, +T" : "(b) 62 directories"; }
    std::string put(std::string_view bytes) override
    {
        const unsigned n = next_++;
        const std::string folder = fmt::format("active/{}/", directories[n % directories.size()]);
        const std::string temporary = fmt::format("{}{}.{}", folder, n, ::getpid());
        const int fd =
            ::openat(spool_.root_fd(), temporary.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        require(fd >= 0, "open");
        struct stat st{};
        require(::fstat(fd, &st) == 0, "stat");
        std::string path = folder + QueueId::make_short(WallTime::now(), st.st_ino).text();
        require(bool(rename_in_spool(spool_, temporary, path)), "rename");
        finish(fd, bytes);
        return path;
    }
    void remove(const std::string& path) override
    {
        require(::unlinkat(spool_.root_fd(), path.c_str(), 0) == 0, "unlink");
    }

private:
    static constexpr std::string_view directories =
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    const Spool& spool_;
    bool flagged_ = false;
    std::atomic<unsigned> next_ = 0;
};

class Recycled final : public Way
{
public:
    explicit Recycled(const Spool& spool) : spool_(spool) {}
    const char* name() const override { return "(c) recycled files"; }
    std::string put(std::string_view bytes) override
    {
        const std::string spare = take();
        const bool fresh = spare.empty();
        const std::string temporary = fresh ? fmt::format("hold/{}.{}", next_++, ::getpid()) : spare;
        const int fd = ::openat(spool_.root_fd(), temporary.c_str(),
                                O_RDWR | O_CLOEXEC | (fresh ? O_CREAT | O_EXCL : 0), 0600);
        require(fd >= 0, "open");
        struct stat st{};
        require(::fstat(fd, &st) == 0, "stat");
        std::string path = "hold/" + QueueId::make_short(WallTime::now(), st.st_ino).text();
        require(bool(rename_in_spool(spool_, temporary, path)), "rename");
        if (st.st_size > static_cast<off_t>(bytes.size()))
            require(::ftruncate(fd, static_cast<off_t>(bytes.size())) == 0, "truncate");
        finish(fd, bytes);
        return path;
    }
    void remove(const std::string& path) override
    {
        const std::string spare = fmt::format("saved/{}", next_++);
        require(::fchmodat(spool_.root_fd(), path.c_str(), 0600, 0) == 0, "chmod");
        require(bool(rename_in_spool(spool_, path, spare)), "rename");
        const std::scoped_lock lock(mutex_);
        spares_.push_back(spare);
    }

private:
    std::string take()
    {
        const std::scoped_lock lock(mutex_);
        if (spares_.empty())
            return {};
        std::string spare = std::move(spares_.front());
        spares_.pop_front();
        return spare;
    }

    const Spool& spool_;
    std::atomic<unsigned> next_ = 0;
    std::mutex mutex_;
    std::deque<std::string> spares_;
};

double rate(Way& way, int threads, int seconds)
{
    const std::string bytes(message_size, 'x');
    const auto start = SteadyClock::now();
    const auto end = start + Seconds(seconds);
    std::atomic<std::size_t> count = 0;
    {
        std::vector<std::jthread> workers;
        for (int i = 0; i < threads; ++i)
            workers.emplace_back([&] {
                std::deque<std::string> backlog;
                while (SteadyClock::now() < end) {
                    backlog.push_back(way.put(bytes));
                    ++count;
                    if (backlog.size() > backlog_per_thread) {
                        way.remove(backlog.front());
                        backlog.pop_front();
                    }
                }
                for (const std::string& path : backlog)
                    way.remove(path);
            });
    }
    return static_cast<double>(count) / std::chrono::duration<double>(SteadyClock::now() - start).count();
}

} // namespace

int main(int argc, char** argv)
{
    if (argc < 2) {
        std::fputs("usage: bench_spool_create DIRECTORY [threads] [seconds] [rounds]\n", stderr);
        return 64;
    }
    const int threads = argc > 2 ? std::atoi(argv[2]) : 16;
    const int seconds = argc > 3 ? std::atoi(argv[3]) : 3;
    const int rounds = argc > 4 ? std::atoi(argv[4]) : 3;
    std::string root = std::string(argv[1]) + "/spool-bench-XXXXXX";
    require(::mkdtemp(root.data()) != nullptr, "mkdtemp");
    SpoolLayout layout;
    layout.root = root;
    require(bool(ensure_spool(layout, {::geteuid(), ::getegid(), ::getegid()})), "ensure_spool");
    const auto spool = Spool::open(layout);
    require(bool(spool), "open spool");

    Flat flat(*spool);
    Hashed hashed(*spool);
    Recycled recycled(*spool);
    for (int round = 0; round < rounds; ++round)
        for (Way* way : {static_cast<Way*>(&flat), static_cast<Way*>(&hashed), static_cast<Way*>(&recycled)})
            std::printf("%-24s %8.0f messages/s\n", way->name(), rate(*way, threads, seconds)),
                std::fflush(stdout);
    std::filesystem::remove_all(root);
}
