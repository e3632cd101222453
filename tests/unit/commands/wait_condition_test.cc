#include "wait_condition.h"

#include <gtest/gtest.h>

namespace bulkhead
{

static QueueCounts some_counts()
{
    QueueCounts counts;
    counts.of(Queue::deferred) = 2;
    counts.of(Queue::hold) = 1;
    return counts;
}

struct Row {
    const char* name;
    const char* text;
    bool holds;
};

class WaitConditionHolds : public testing::TestWithParam<Row>
{
};

TEST_P(WaitConditionHolds, ForTheseCounts)
{
    const auto condition = WaitCondition::parse(GetParam().text);
    ASSERT_TRUE(condition) << condition.error().context;
    EXPECT_EQ(condition->holds(some_counts()), GetParam().holds);
}
INSTANTIATE_TEST_SUITE_P(
    Conditions, WaitConditionHolds,
    testing::Values(Row{"Equal", "deferred=2", true}, Row{"NotEqual", "deferred=1", false},
                    Row{"DoubleEqual", "hold==1", true}, Row{"AtLeast", "deferred>=2", true},
                    Row{"TooFew", "deferred>=3", false}, Row{"AtMost", "deferred<=2", true},
                    Row{"TooMany", "deferred<=1", false}, Row{"More", "deferred>1", true},
                    Row{"NotMore", "deferred>2", false}, Row{"Less", "active<1", true},
                    Row{"Total", "total=3", true}, Row{"AllMustHold", "deferred=2,active=1", false},
                    Row{"Blanks", " deferred = 2 , active = 0 ", true}),
    [](const auto& row) { return std::string(row.param.name); });

class WaitConditionRefuses : public testing::TestWithParam<const char*>
{
};

TEST_P(WaitConditionRefuses, BadText)
{
    const auto condition = WaitCondition::parse(GetParam());
    ASSERT_FALSE(condition);
    EXPECT_EQ(condition.error().fault, Fault::malformed);
    EXPECT_EQ(condition.error().context.find('\n'), std::string::npos);
}
INSTANTIATE_TEST_SUITE_P(Texts, WaitConditionRefuses,
                         testing::Values("", ",", "deferred", "deferred=", "=1", "nosuch=1", "bounce=1",
                                         "flush=0", "deferred=1,", "deferred=-1", "deferred=>1",
                                         "deferred=1x", "deferred=99999999999999999999999", "hold!=1"));

TEST(QueueCounts, AddUp)
{
    QueueCounts counts = some_counts();
    counts += some_counts();
    EXPECT_EQ(counts.of(Queue::deferred), 4u);
    EXPECT_EQ(counts.total(), 6u);
}

} // namespace bulkhead
