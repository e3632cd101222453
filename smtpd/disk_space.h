// Whether the spool's file system has room for another message.  Asked at MAIL;
// a yes is kept for a second, so a flood of mail costs one system call of it, a no is
// not: the room that an administrator has just made counts at once.
#pragma once

#include "base/clock.h"

#include <cstdint>
#include <string>

namespace bulkhead
{

class DiskSpace
{
public:
    // folder: any of the file system.  minimum_free: queue_minfree; size_limit:
    // message_size_limit, zero for none.  Bytes.
    DiskSpace(std::string folder, std::int64_t minimum_free, std::int64_t size_limit)
        : folder_(std::move(folder)), minimum_free_(minimum_free), size_limit_(size_limit)
    {
    }

    // A message of this declared size (zero: not declared) fits.  A file system that
    // cannot be asked does not refuse mail: cleanup will see what happens.
    bool has_room(std::uint64_t size);

private:
    void ask();
    bool fits(std::uint64_t size) const;

    std::string folder_;
    std::int64_t minimum_free_;
    std::int64_t size_limit_;
    SteadyTime asked_{};
    bool known_ = false;
    std::uint64_t free_ = 0;
};

// The rule itself (postconf(5), queue_minfree): the minimum stays free, the message
// fits above it, and there is always room for one and a half messages of full size.
bool is_enough_space(std::uint64_t free, std::int64_t minimum_free, std::int64_t size_limit,
                     std::uint64_t size);

} // namespace bulkhead
