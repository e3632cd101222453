#include "spool/queue_file.h"

#include "spool/io.h"
#include "spool/marks.h"

#include <fmt/format.h>
#include <sys/stat.h>

namespace bulkhead
{

bool FileInfo::is_regular() const
{
    return S_ISREG(mode);
}
bool FileInfo::is_ready() const
{
    return is_regular() && (mode & 0700) == file_mode::ready;
}
bool FileInfo::is_marked_corrupt() const
{
    return is_regular() && (mode & 0700) == file_mode::corrupt;
}
bool FileInfo::is_expire_forced() const
{
    return (mode & file_mode::force_expire) != 0;
}
bool FileInfo::is_unthrottle_wanted() const
{
    return (mode & file_mode::unthrottle) != 0;
}

static FileInfo info_from(const struct stat& st)
{
    FileInfo info;
    info.mode = st.st_mode;
    info.owner = st.st_uid;
    info.links = st.st_nlink;
    info.inode = st.st_ino;
    info.size = st.st_size;
    info.modified = st.st_mtim.tv_sec;
    info.modified_microseconds = st.st_mtim.tv_nsec / 1000;
    return info;
}

Result<FileInfo> file_info(const Spool& spool, const std::string& path)
{
    struct stat st{};
    if (::fstatat(spool.root_fd(), path.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0)
        return file_error("stat", path);
    return info_from(st);
}

Result<OpenQueueFile> open_queue_file(const Spool& spool, Queue queue, const QueueId& id, Access access)
{
    return open_queue_file(spool, spool.path_of(queue, id), access);
}

Result<OpenQueueFile> open_queue_file(const Spool& spool, const std::string& path, Access access)
{
    // O_NONBLOCK: a fifo that somebody put here must not hang us.
    const int flags = (access == Access::read ? O_RDONLY : O_RDWR) | O_NONBLOCK | O_NOCTTY;
    TRY(UniqueFd fd, open_at(spool.root_fd(), path, flags));
    struct stat st{};
    if (::fstat(fd.get(), &st) != 0)
        return file_error("stat", path);
    if (!S_ISREG(st.st_mode))
        return Error{Fault::refused, fmt::format("{} is not a regular file", path)};
    return OpenQueueFile{std::move(fd), info_from(st)};
}

} // namespace bulkhead
