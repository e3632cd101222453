#include "wakeup.h"

#include "base/unique_fd.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <memory>

namespace bulkhead
{

// Some file systems do not tell the kind of an entry.
static bool is_directory(const dirent& entry, const std::string& path)
{
    struct stat st{};
    return entry.d_type == DT_DIR ||
           (entry.d_type == DT_UNKNOWN && ::lstat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode));
}

// A file in the folder or, in a hashed queue, in its sub-folders.  Stops at the first.
static bool has_file(const std::string& path, unsigned levels)
{
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(path.c_str()), ::closedir);
    if (!folder)
        return false;
    while (const dirent* entry = ::readdir(folder.get())) {
        if (entry->d_name[0] == '.')
            continue;
        const std::string below = path + '/' + entry->d_name;
        if (!is_directory(*entry, below))
            return true;
        if (levels > 0 && has_file(below, levels - 1))
            return true;
    }
    return false;
}

static bool queue_has_file(const SpoolLayout& spool, Queue queue)
{
    return has_file(spool.root + '/' + std::string(queue_name(queue)), spool.hash_depth);
}

// A commit log whose owner is dead; the living announce what they have (docs/commit-log.md).
static bool has_left_log(const SpoolLayout& spool)
{
    const std::string path = spool.root + "/log";
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(path.c_str()), ::closedir);
    if (!folder)
        return false;
    while (const dirent* entry = ::readdir(folder.get())) {
        if (entry->d_name[0] == '.')
            continue;
        const UniqueFd log(
            ::openat(::dirfd(folder.get()), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (log && ::flock(log.get(), LOCK_EX | LOCK_NB) == 0)
            return true;
    }
    return false;
}

bool has_dropped_mail(const SpoolLayout& spool)
{
    return queue_has_file(spool, Queue::maildrop);
}

bool has_moving_mail(const SpoolLayout& spool)
{
    return has_dropped_mail(spool) || queue_has_file(spool, Queue::incoming) ||
           queue_has_file(spool, Queue::active) || has_left_log(spool);
}

bool has_queued_mail(const SpoolLayout& spool)
{
    return queue_has_file(spool, Queue::incoming) || queue_has_file(spool, Queue::active) ||
           queue_has_file(spool, Queue::deferred) || has_left_log(spool);
}

} // namespace bulkhead
