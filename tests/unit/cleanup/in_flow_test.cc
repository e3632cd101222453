#include "in_flow.h"

#include "async/loop.h"
#include "async/scope.h"

#include <gtest/gtest.h>

namespace bulkhead
{
namespace
{

TEST(InFlow, IsSlowWhileTheQueueManagerIsBehind)
{
    InFlow flow;
    flow.set_delay(Seconds(10));
    EXPECT_FALSE(flow.is_slow());
    flow.note(true);
    EXPECT_TRUE(flow.is_slow());
    flow.note(false);
    EXPECT_FALSE(flow.is_slow());
}

TEST(InFlow, IsNeverSlowWithoutDelay)
{
    InFlow flow;
    flow.note(true);
    EXPECT_FALSE(flow.is_slow());
}

Task<> wait_for_it(InFlow* flow, bool* early)
{
    *early = co_await flow->pause();
    Loop::current().stop();
}

TEST(InFlow, GoesOnAsSoonAsTheQueueManagerHasCaughtUp)
{
    InFlow flow;
    flow.set_delay(Seconds(10));
    flow.note(true);
    Scope scope;
    bool early = false;
    scope.spawn(wait_for_it, &flow, &early);
    Loop::current().post([&flow] { flow.note(false); });
    Loop::current().run();
    EXPECT_TRUE(early);
}

TEST(InFlow, WaitsNoLongerThanItsDelay)
{
    InFlow flow;
    flow.set_delay(Milliseconds(1));
    flow.note(true);
    Scope scope;
    bool early = true;
    scope.spawn(wait_for_it, &flow, &early);
    Loop::current().run();
    EXPECT_FALSE(early);
}

} // namespace
} // namespace bulkhead
