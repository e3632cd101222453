// The two clocks: wall time for what goes on disk and into logs, a steady one
// for deadlines.
#pragma once

#include <chrono>
#include <cstdint>

namespace bulkhead
{

using Seconds = std::chrono::seconds;
using Milliseconds = std::chrono::milliseconds;
using SteadyClock = std::chrono::steady_clock;
using SteadyTime = SteadyClock::time_point;

// Wall time, microseconds resolution, as the queue file's T record has it.
struct WallTime {
    std::int64_t seconds = 0;
    std::int32_t microseconds = 0;

    static WallTime now();
    double as_double() const { return static_cast<double>(seconds) + microseconds / 1e6; }
    auto operator<=>(const WallTime&) const = default;
};

} // namespace bulkhead
