#include "table/file_watch.h"

#include <fcntl.h>
#include <sys/stat.h>

namespace bulkhead
{

Result<FileWatch> FileWatch::open(const std::string& path)
{
    FileWatch watch;
    watch.fd_.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    struct stat status{};
    if (!watch.fd_ || ::fstat(watch.fd_.get(), &status) != 0)
        return system_error("open " + path);
    watch.modified_ = status.st_mtim;
    watch.link_.reset(::open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (watch.link_ && (::fstat(watch.link_.get(), &status) != 0 || !S_ISLNK(status.st_mode)))
        watch.link_.reset();
    return watch;
}

bool FileWatch::changed() const
{
    struct stat status{};
    if (link_ && ::fstat(link_.get(), &status) == 0 && status.st_nlink == 0)
        return true;
    if (!fd_ || ::fstat(fd_.get(), &status) != 0)
        return false;
    return status.st_nlink == 0 || status.st_mtim.tv_sec != modified_.tv_sec ||
           status.st_mtim.tv_nsec != modified_.tv_nsec;
}

} // namespace bulkhead
