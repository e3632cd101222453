#include "throttle.h"

#include <algorithm>

namespace bulkhead
{

Milliseconds Throttle::note(Ending ending, SteadyTime now)
{
    if (ending == Ending::bad_startup)
        return longest_;

    const std::chrono::duration<double> peace = now - last_ending_;
    last_ending_ = now;
    level_ = std::max(0.0, level_ - peace.count() * leak_per_second);
    if (peace > 2 * last_pause_ + Seconds(10))
        last_pause_ = Milliseconds(0);

    level_ += ending == Ending::crash ? 4 : 1;
    if (level_ < capacity)
        return Milliseconds(0);
    level_ = 0;
    last_pause_ = std::min(longest_, std::max(first_pause, 2 * last_pause_));
    return last_pause_;
}

void Throttle::reset(Milliseconds longest)
{
    *this = Throttle(longest);
}

} // namespace bulkhead
