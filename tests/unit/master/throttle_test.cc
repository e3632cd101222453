#include "throttle.h"

#include <gtest/gtest.h>

namespace bulkhead
{

using Ending = Throttle::Ending;

struct ThrottleTest : testing::Test {
    Milliseconds die(Ending ending, Milliseconds later)
    {
        now += later;
        return throttle.note(ending, now);
    }
    Milliseconds die_often(Ending ending, int times, Milliseconds apart)
    {
        Milliseconds longest{0};
        for (int i = 0; i < times; ++i)
            longest = std::max(longest, die(ending, apart));
        return longest;
    }

    SteadyTime now{std::chrono::hours(1)};
    Throttle throttle{Seconds(60)};
};

TEST_F(ThrottleTest, BadStartupWaitsTheWholeTime)
{
    EXPECT_EQ(die(Ending::bad_startup, Seconds(1)), Seconds(60));
}

TEST_F(ThrottleTest, ASingleCrashRestartsAtOnce)
{
    EXPECT_EQ(die(Ending::crash, Seconds(1)), Seconds(0));
}

TEST_F(ThrottleTest, FiveCrashesAtOncePauseOneSecond)
{
    EXPECT_EQ(die_often(Ending::crash, 4, Milliseconds(1)), Seconds(0));
    EXPECT_EQ(die_often(Ending::crash, 2, Milliseconds(1)), Seconds(1));
}

TEST_F(ThrottleTest, PausesOfACrashLoopGrowUpToTheLimit)
{
    for (const int seconds : {1, 2, 4, 8, 16, 32, 60, 60}) {
        EXPECT_EQ(die_often(Ending::crash, 6, Milliseconds(1)), Seconds(seconds));
        now += Seconds(seconds);
        throttle.note(Ending::unused, now);
    }
}

TEST_F(ThrottleTest, PeaceIsForgiven)
{
    die_often(Ending::crash, 12, Milliseconds(1));
    now += Seconds(60);
    EXPECT_EQ(die_often(Ending::crash, 6, Milliseconds(1)), Seconds(1));
}

TEST_F(ThrottleTest, KillsOfRandomWorkersNeverPause)
{
    EXPECT_EQ(die_often(Ending::killed, 1000, Milliseconds(300)), Seconds(0));
}

TEST_F(ThrottleTest, AMurderousKillerIsSlowedDown)
{
    EXPECT_EQ(die_often(Ending::killed, 30, Milliseconds(10)), Seconds(1));
}

TEST_F(ThrottleTest, CrashesOncePerTwoSecondsNeverPause)
{
    EXPECT_EQ(die_often(Ending::crash, 1000, Seconds(2)), Seconds(0));
}

TEST_F(ThrottleTest, ResetStartsAgain)
{
    die_often(Ending::crash, 4, Milliseconds(1));
    throttle.reset(Seconds(5));
    EXPECT_EQ(die(Ending::crash, Milliseconds(1)), Seconds(0));
    EXPECT_EQ(die(Ending::bad_startup, Milliseconds(1)), Seconds(5));
}

} // namespace bulkhead
