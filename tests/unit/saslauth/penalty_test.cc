#include "params.h"
#include "penalty.h"

#include <gtest/gtest.h>

using namespace bulkhead;

namespace
{

TEST(SaslAuthParams, AreThoseOfTheTable)
{
    EXPECT_TRUE(SaslAuthParams().disagreements().empty());
}

TEST(Penalty, GrowsToALimitAndIsForgotten)
{
    PenaltyBook book;
    SteadyTime now{};
    now += Seconds(1000);
    EXPECT_EQ(book.failure("a", now), Milliseconds(500));
    EXPECT_EQ(book.failure("a", now), Milliseconds(1000));
    EXPECT_EQ(book.failure("b", now), Milliseconds(500));
    for (int i = 0; i < 20; ++i)
        (void)book.failure("a", now);
    EXPECT_EQ(book.failure("a", now), PenaltyBook::most);
    EXPECT_EQ(book.failure("a", now + PenaltyBook::memory + Seconds(1)), PenaltyBook::first);
}

TEST(Penalty, IsBounded)
{
    PenaltyBook book;
    const SteadyTime now = SteadyTime{} + Seconds(1000);
    for (std::size_t i = 0; i < PenaltyBook::limit; ++i)
        (void)book.failure(std::to_string(i), now);
    EXPECT_EQ(book.failure("one more", now), PenaltyBook::most);
    EXPECT_EQ(book.failure("one more", now + Seconds(100)), PenaltyBook::first);
}

} // namespace
