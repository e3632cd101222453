#include "disk_space.h"

#include <sys/statvfs.h>

namespace bulkhead
{

bool is_enough_space(std::uint64_t free, std::int64_t minimum_free, std::int64_t size_limit,
                     std::uint64_t size)
{
    const auto minimum = static_cast<std::uint64_t>(minimum_free);
    const auto limit = static_cast<std::uint64_t>(size_limit);
    return free > minimum && free - minimum > size && free / 3 >= limit / 2;
}

bool DiskSpace::has_room(std::uint64_t size)
{
    if (SteadyClock::now() - asked_ < Seconds(1) && fits(size))
        return true;
    ask();
    return fits(size);
}

void DiskSpace::ask()
{
    struct statvfs answer{};
    // A file system without blocks (an unlimited tmpfs) has no end.
    known_ = ::statvfs(folder_.c_str(), &answer) == 0 && answer.f_blocks > 0;
    free_ = static_cast<std::uint64_t>(answer.f_bavail) * answer.f_frsize;
    asked_ = SteadyClock::now();
}

bool DiskSpace::fits(std::uint64_t size) const
{
    return !known_ || is_enough_space(free_, minimum_free_, size_limit_, size);
}

} // namespace bulkhead
