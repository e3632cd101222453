#include "spool/moves.h"

#include "spool/io.h"

#include <sys/stat.h>
#include <unistd.h>

namespace bulkhead
{

Result<> move_queue_file(const Spool& spool, Queue from, Queue to, const QueueId& id)
{
    return rename_in_spool(spool, spool.path_of(from, id), spool.path_of(to, id));
}

Result<> move_queue_file(const Spool& spool, const std::string& from_path, Queue to, const QueueId& id)
{
    return rename_in_spool(spool, from_path, spool.path_of(to, id));
}

Result<> set_queue_file_time(const Spool& spool, const std::string& path, std::int64_t seconds)
{
    const timespec times[2] = {{seconds, 0}, {seconds, 0}};
    if (::utimensat(spool.root_fd(), path.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0)
        return file_error("set time of", path);
    return {};
}

Result<Queue> defer_queue_file(const Spool& spool, Queue from, const QueueId& id, std::int64_t next_attempt)
{
    const std::string path = spool.path_of(from, id);
    TRY_VOID(set_queue_file_time(spool, path, next_attempt));
    const auto deferred = move_queue_file(spool, path, Queue::deferred, id);
    if (deferred)
        return Queue::deferred;
    if (deferred.error().fault != Fault::io || !move_queue_file(spool, path, Queue::incoming, id))
        return deferred.error();
    return Queue::incoming;
}

Result<> remove_queue_file(const Spool& spool, Queue queue, const QueueId& id)
{
    return remove_queue_file(spool, spool.path_of(queue, id));
}

Result<> remove_queue_file(const Spool& spool, const std::string& path)
{
    if (::unlinkat(spool.root_fd(), path.c_str(), 0) != 0)
        return file_error("remove", path);
    return {};
}

static bool is_file(const Spool& spool, const std::string& path, FileInfo& info)
{
    const auto found = file_info(spool, path);
    if (!found || !found->is_regular())
        return false;
    info = *found;
    return true;
}

Result<std::optional<LocatedFile>> locate(const Spool& spool, std::span<const Queue> queues,
                                          const QueueId& id)
{
    FileInfo info;
    for (const Queue queue : queues)
        if (std::string path = spool.path_of(queue, id); is_file(spool, path, info))
            return std::optional(LocatedFile{queue, std::move(path), info});

    // Left by other hash settings.
    const std::string hash = id.hash_characters(max_hash_depth);
    for (const Queue queue : queues) {
        std::string directory(queue_name(queue));
        directory += '/';
        for (const char c : hash) {
            if (std::string path = directory + id.text(); is_file(spool, path, info))
                return std::optional(LocatedFile{queue, std::move(path), info});
            directory += c;
            directory += '/';
        }
    }
    return std::optional<LocatedFile>{};
}

} // namespace bulkhead
