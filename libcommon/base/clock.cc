#include "base/clock.h"

#include <sys/time.h>

namespace bulkhead
{

WallTime WallTime::now()
{
    timeval tv{};
    ::gettimeofday(&tv, nullptr);
    return {tv.tv_sec, static_cast<std::int32_t>(tv.tv_usec)};
}

} // namespace bulkhead
