// in_flow_delay: a new message waits a little while more mail comes in than leaves.  The queue
// manager says so in its answers to announcements, so one that keeps up costs nothing.
#pragma once

#include "async/wait.h"
#include "base/clock.h"

namespace bulkhead
{

class InFlow
{
public:
    // Zero: nothing ever waits.
    void set_delay(Milliseconds delay) { delay_ = delay; }

    // The queue manager's newest word.  Who waits goes on as soon as it has caught up.
    void note(bool is_behind)
    {
        slow_until_ = is_behind ? SteadyClock::now() + delay_ : SteadyTime();
        if (!is_behind)
            open_.notify_all();
    }

    // A word counts for as long as one message waits: without mail there are no new ones.
    bool is_slow() const { return slow_until_ != SteadyTime() && SteadyClock::now() < slow_until_; }

    // co_await in_flow.pause(), if it is slow: true when it ended early.
    Condition::Awaiter pause() { return open_.wait_for(delay_); }

private:
    Milliseconds delay_{0};
    SteadyTime slow_until_{};
    Condition open_;
};

} // namespace bulkhead
