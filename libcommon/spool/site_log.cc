#include "spool/site_log.h"

#include "base/text.h"
#include "os/files.h"
#include "spool/io.h"
#include "spool/lock.h"
#include "spool/moves.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <span>
#include <unordered_set>
#include <vector>

namespace bulkhead
{

namespace
{

constexpr std::size_t name_limit = 200;
constexpr std::size_t log_limit = 64 << 20; // bytes; a longer list takes no more ids

std::string path_of(std::string_view name)
{
    return "flush/" + std::string(name);
}

struct OpenLog {
    UniqueFd fd;
    struct stat info{};
};

// Locked; Fault::not_found if there is none.  Waiting for the lock, the file may have been
// removed: then it is opened once more.
Result<OpenLog> open_log(const Spool& spool, const std::string& path, int flags)
{
    for (;;) {
        OpenLog log;
        TRY(log.fd, open_at(spool.root_fd(), path, flags, 0600));
        TRY_VOID(lock_and_wait(log.fd.get(), FileLock::exclusive));
        if (::fstat(log.fd.get(), &log.info) != 0)
            return file_error("stat", path);
        if (log.info.st_nlink > 0)
            return log;
        if ((flags & O_CREAT) == 0)
            return Error{Fault::not_found, path + " is gone"};
    }
}

std::vector<QueueId> ids_of(std::string_view text)
{
    std::vector<QueueId> ids;
    std::unordered_set<std::string_view> seen;
    for (const std::string_view line : split(text, "\n"))
        if (seen.insert(line).second)
            if (auto id = QueueId::parse(line))
                ids.push_back(std::move(*id));
    return ids;
}

enum class Place { released, active, elsewhere };

Result<Place> release(const Spool& spool, const QueueId& id, std::int64_t now)
{
    const auto timed = set_queue_file_time(spool, spool.path_of(Queue::deferred, id), now);
    const auto moved = timed ? move_queue_file(spool, Queue::deferred, Queue::incoming, id) : timed;
    if (moved)
        return Place::released;
    if (moved.error().fault != Fault::not_found)
        return moved.error();
    constexpr Queue busy[] = {Queue::active, Queue::incoming};
    TRY(const auto found, locate(spool, busy, id));
    return found && found->queue == Queue::active ? Place::active : Place::elsewhere;
}

// Empty but for the ids in `kept`.  The access time is when a list was read last: the
// kernel does not keep it by itself everywhere.
Result<> rewrite(const OpenLog& log, const std::string& path, std::string_view kept, std::int64_t now)
{
    TRY_VOID(write_pieces_at(log.fd.get(), {&kept, 1}, 0));
    if (::ftruncate(log.fd.get(), static_cast<off_t>(kept.size())) != 0)
        return file_error("truncate", path);
    const struct timespec times[2] = {{now, 0}, {now, 0}};
    return ::futimens(log.fd.get(), times) == 0 ? Result<>() : Result<>(file_error("utime", path));
}

Result<std::size_t> release_log(const Spool& spool, const OpenLog& log, const std::string& path,
                                std::int64_t now)
{
    TRY(const std::string text, read_descriptor(log.fd.get(), log_limit + 1));
    std::size_t released = 0;
    std::string kept;
    for (const QueueId& id : ids_of(text)) {
        const auto place = release(spool, id, now);
        released += place && *place == Place::released;
        if (!place || *place == Place::active)
            kept += id.text() + '\n';
    }
    TRY_VOID(rewrite(log, path, kept, now));
    return released;
}

Result<std::vector<std::string>> log_names(const Spool& spool)
{
    TRY(UniqueFd fd, open_at(spool.root_fd(), "flush", O_RDONLY | O_DIRECTORY));
    DIR* const folder = ::fdopendir(fd.get());
    if (folder == nullptr)
        return file_error("open", "flush");
    (void)fd.release();
    const std::unique_ptr<DIR, int (*)(DIR*)> owner(folder, ::closedir);
    std::vector<std::string> names;
    while (const dirent* const entry = ::readdir(folder))
        if (entry->d_name[0] != '.')
            names.emplace_back(entry->d_name);
    return names;
}

Result<std::size_t> refresh(const Spool& spool, const std::string& path, const SiteLogAges& ages,
                            std::int64_t now)
{
    TRY(const OpenLog log, open_log(spool, path, O_RDWR));
    if (!S_ISREG(log.info.st_mode))
        return std::size_t{0};
    if (log.info.st_size == 0) {
        if (log.info.st_mtime + ages.purge < now && ::unlinkat(spool.root_fd(), path.c_str(), 0) != 0)
            return file_error("remove", path);
        return std::size_t{0};
    }
    if (log.info.st_atime + ages.refresh >= now)
        return std::size_t{0};
    return release_log(spool, log, path, now);
}

} // namespace

std::string site_log_name(std::string_view site)
{
    std::string name = lower(site.substr(0, name_limit));
    std::ranges::replace_if(name, [](char c) { return !is_alpha(c) && !is_digit(c); }, '_');
    return name;
}

Result<> append_site_log(const Spool& spool, std::string_view site, const QueueId& id)
{
    const std::string path = path_of(site_log_name(site));
    TRY(const OpenLog log, open_log(spool, path, O_RDWR | O_CREAT));
    if (static_cast<std::size_t>(log.info.st_size) > log_limit)
        return Error{Fault::limit, path + " is full"};
    const std::string line = id.text() + '\n';
    const std::string_view piece = line;
    return write_pieces_at(log.fd.get(), {&piece, 1}, log.info.st_size);
}

Result<std::size_t> release_site(const Spool& spool, std::string_view site, std::int64_t now)
{
    const std::string path = path_of(site_log_name(site));
    const auto log = open_log(spool, path, O_RDWR);
    if (!log && log.error().fault == Fault::not_found)
        return std::size_t{0};
    if (!log)
        return log.error();
    return release_log(spool, *log, path, now);
}

Result<std::size_t> refresh_site_logs(const Spool& spool, const SiteLogAges& ages, std::int64_t now)
{
    TRY(const auto names, log_names(spool));
    std::size_t released = 0;
    std::optional<Error> trouble; // one bad list must not keep the others
    for (const std::string& name : names) {
        const auto here = refresh(spool, path_of(name), ages, now);
        if (here)
            released += *here;
        else if (here.error().fault != Fault::not_found)
            trouble = here.error();
    }
    if (trouble)
        return *trouble;
    return released;
}

} // namespace bulkhead
