#include "spool/lock.h"

#include <sys/file.h>

namespace bulkhead
{

static int operation(FileLock kind)
{
    return kind == FileLock::exclusive ? LOCK_EX : LOCK_SH;
}

Result<bool> try_lock(int fd, FileLock kind)
{
    if (::flock(fd, operation(kind) | LOCK_NB) == 0)
        return true;
    if (errno == EWOULDBLOCK)
        return false;
    return system_error("lock queue file");
}

Result<> lock_and_wait(int fd, FileLock kind)
{
    while (::flock(fd, operation(kind)) != 0)
        if (errno != EINTR)
            return system_error("lock");
    return {};
}

Result<> unlock(int fd)
{
    if (::flock(fd, LOCK_UN) != 0)
        return system_error("unlock");
    return {};
}

} // namespace bulkhead
