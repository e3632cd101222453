// What the async floor's own sources share of the loop; nobody else includes it.
#pragma once

#include "async/loop.h"

#include <event2/event.h>

#include <deque>
#include <vector>

namespace bulkhead
{

struct Loop::Detail {
    event_base* base = nullptr;
    std::deque<std::move_only_function<void()>> posted;
    std::vector<std::function<void()>> before_sleep;
    bool stopping = false;
};

inline event_base* loop_base()
{
    return Loop::current().detail().base;
}

inline timeval to_timeval(Milliseconds t)
{
    const auto ms = t.count() < 0 ? 0 : t.count();
    return {static_cast<time_t>(ms / 1000), static_cast<suseconds_t>((ms % 1000) * 1000)};
}

} // namespace bulkhead
