#include "spool/file_pool.h"

#include "spool/io.h"
#include "spool/lock.h"
#include "spool/marks.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>

namespace bulkhead
{

namespace
{

constexpr std::string_view folder = "recycled/";
constexpr Milliseconds look_pause{20}; // an empty folder is not looked into all the time

struct CloseDirectory {
    void operator()(DIR* directory) const { ::closedir(directory); }
};

bool is_our_own(const struct stat& st)
{
    return S_ISREG(st.st_mode) && st.st_nlink == 1 && st.st_uid == ::geteuid();
}

} // namespace

std::vector<std::string> FilePool::list() const
{
    std::vector<std::string> names;
    auto fd = open_at(spool_.root_fd(), "recycled", O_RDONLY | O_DIRECTORY);
    if (!fd)
        return names;
    const std::unique_ptr<DIR, CloseDirectory> directory(::fdopendir(fd->get()));
    if (!directory)
        return names;
    (void)fd->release();
    while (names.size() < limit_) {
        const dirent* const entry = ::readdir(directory.get());
        if (entry == nullptr)
            break;
        if (entry->d_name[0] != '.')
            names.emplace_back(entry->d_name);
    }
    return names;
}

std::optional<std::string> FilePool::next_name()
{
    const std::scoped_lock guard(mutex_);
    if (names_.empty()) {
        const SteadyTime now = SteadyClock::now();
        if (now < next_look_)
            return std::nullopt;
        names_ = list();
        if (names_.empty())
            next_look_ = now + look_pause;
    }
    if (names_.empty())
        return std::nullopt;
    std::string name = std::move(names_.back());
    names_.pop_back();
    return name;
}

std::optional<FilePool::Spare> FilePool::open_spare(const std::string& path) const
{
    auto fd = open_at(spool_.root_fd(), path, O_RDWR);
    if (!fd)
        return std::nullopt; // another process was faster
    struct stat st{};
    if (::fstat(fd->get(), &st) != 0)
        return std::nullopt;
    const auto locked = try_lock(fd->get(), FileLock::exclusive);
    if (!locked || !*locked)
        return std::nullopt;
    if (is_our_own(st) && st.st_size == 0 && (st.st_mode & 07777) == file_mode::unfinished)
        return Spare{std::move(*fd), path, st.st_ino};
    ::unlinkat(spool_.root_fd(), path.c_str(), 0); // a crash came before it was emptied
    return std::nullopt;
}

std::optional<FilePool::Spare> FilePool::take()
{
    constexpr int tries = 8;
    for (int i = 0; i < tries; ++i) {
        const auto name = next_name();
        if (!name)
            return std::nullopt;
        auto spare = open_spare(std::string(folder) + *name);
        if (spare)
            return spare;
    }
    return std::nullopt;
}

bool FilePool::has_room()
{
    const std::scoped_lock guard(mutex_);
    if (given_ >= limit_) {
        const SteadyTime now = SteadyClock::now();
        if (now < next_count_)
            return false;
        given_ = list().size(); // others take without telling us
        next_count_ = now + look_pause;
        if (given_ >= limit_)
            return false;
    }
    ++given_;
    return true;
}

bool FilePool::give(const std::string& path)
{
    auto fd = open_at(spool_.root_fd(), path, O_RDWR);
    struct stat st{};
    if (!fd || ::fstat(fd->get(), &st) != 0 || !is_our_own(st))
        return false;
    const auto locked = try_lock(fd->get(), FileLock::exclusive);
    if (!locked || !*locked || !has_room())
        return false;
    const std::string spare = std::string(folder) + path.substr(path.rfind('/') + 1);
    if (!rename_in_spool(spool_, path, spare))
        return false;
    if (::fchmod(fd->get(), file_mode::unfinished) != 0 || ::ftruncate(fd->get(), 0) != 0)
        ::unlinkat(spool_.root_fd(), spare.c_str(), 0);
    return true;
}

} // namespace bulkhead
