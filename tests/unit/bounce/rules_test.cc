#include "rules.h"

#include "base/dsn_flags.h"
#include "params.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bulkhead
{
namespace
{

using ipc::Notice;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::string_view postmasters_sender = "double-bounce@mx.example.test";

NotifyClasses classes(const std::vector<std::string>& names)
{
    return *NotifyClasses::parse(names);
}

// "sender failure 0 1", "postmaster failure double 0": one word list for each notice.
std::vector<std::string> shown(const NoticePlan& plan)
{
    std::vector<std::string> out;
    for (const PlannedNotice& notice : plan.notices) {
        std::string text = notice.to_postmaster ? "postmaster" : "sender";
        constexpr const char* kinds[] = {" failure", " delay", " success", " verify"};
        text += kinds[static_cast<int>(notice.kind)];
        text += notice.double_bounce ? " double" : "";
        text += notice.is_copy ? " copy" : "";
        for (const std::size_t recipient : notice.recipients)
            text += ' ' + std::to_string(recipient);
        out.push_back(text);
    }
    return out;
}

struct Row {
    const char* name;
    Notice notice;
    const char* sender;
    std::vector<std::string> classes;
    std::vector<unsigned> notify;
    std::vector<std::string> expected;
    bool discarded = false;
    bool loop = false;
};

class NoticePlans : public testing::TestWithParam<Row>
{
};

TEST_P(NoticePlans, TellTheRightPeople)
{
    const Row& row = GetParam();
    NoticeCase facts;
    facts.notice = row.notice;
    facts.sender = row.sender;
    facts.double_bounce_sender = postmasters_sender;
    facts.classes = classes(row.classes);
    facts.notify = row.notify;
    const NoticePlan plan = plan_notices(facts);
    EXPECT_EQ(shown(plan), row.expected);
    EXPECT_EQ(!plan.discarded.empty(), row.discarded);
    EXPECT_EQ(plan.is_loop, row.loop);
}

const std::vector<std::string> usual{"resource", "software"};

INSTANTIATE_TEST_SUITE_P(
    Failures, NoticePlans,
    testing::Values(
        Row{"Sender", Notice::bounce, "s@a.test", usual, {0, 0}, {"sender failure 0 1"}},
        Row{"NotifyNever", Notice::bounce, "s@a.test", usual, {notify::never, 0}, {"sender failure 1"}},
        Row{"NotifySuccessOnly", Notice::bounce, "s@a.test", usual, {notify::success}, {}},
        Row{"NotifyFailure",
            Notice::bounce,
            "s@a.test",
            usual,
            {notify::failure | notify::delay},
            {"sender failure 0"}},
        Row{"PostmasterCopy",
            Notice::bounce,
            "s@a.test",
            {"bounce"},
            {0},
            {"sender failure 0", "postmaster failure copy 0"}},
        Row{"PostmasterCopyInSpiteOfNever",
            Notice::bounce,
            "s@a.test",
            {"Bounce"},
            {notify::never},
            {"postmaster failure copy 0"}},
        Row{"NullSenderDropped", Notice::bounce, "", usual, {0}, {}, true},
        Row{"TheBounceClassImpliesTheOther",
            Notice::bounce,
            "",
            {"bounce"},
            {0},
            {"postmaster failure double 0"}},
        Row{"NullSenderToPostmaster",
            Notice::bounce,
            "",
            {"2bounce"},
            {0, 0},
            {"postmaster failure double 0 1"}},
        Row{"DoubleBounceEndsHere",
            Notice::bounce,
            "Double-Bounce@MX.example.test",
            {"2bounce", "bounce"},
            {0},
            {},
            true,
            true},
        Row{"Expired", Notice::expire, "s@a.test", usual, {0}, {"sender failure 0"}},
        Row{"ExpiredNullSender", Notice::expire, "", {"2bounce"}, {0}, {"postmaster failure double 0"}},
        Row{"ExpiredDoubleBounce",
            Notice::expire,
            "double-bounce@mx.example.test",
            {"2bounce"},
            {0},
            {},
            true,
            true},
        Row{"NothingLogged", Notice::bounce, "", usual, {}, {}}),
    [](const auto& row) { return std::string(row.param.name); });

INSTANTIATE_TEST_SUITE_P(
    Delays, NoticePlans,
    testing::Values(Row{"Sender", Notice::warn, "s@a.test", usual, {0}, {"sender delay 0"}},
                    Row{"NotifyFailureOnly",
                        Notice::warn,
                        "s@a.test",
                        usual,
                        {notify::failure, notify::delay},
                        {"sender delay 1"}},
                    Row{"PostmasterCopy",
                        Notice::warn,
                        "s@a.test",
                        {"delay"},
                        {0},
                        {"sender delay 0", "postmaster delay copy 0"}},
                    Row{"NullSender", Notice::warn, "", usual, {0}, {}},
                    Row{"DoubleBounce", Notice::warn, "double-bounce@mx.example.test", {"delay"}, {0}, {}}),
    [](const auto& row) { return std::string(row.param.name); });

INSTANTIATE_TEST_SUITE_P(
    Traces, NoticePlans,
    testing::Values(Row{"SuccessAsked",
                        Notice::trace,
                        "s@a.test",
                        usual,
                        {notify::success, 0, notify::failure},
                        {"sender success 0"}},
                    Row{"SuccessNotAsked", Notice::trace, "s@a.test", usual, {0}, {}},
                    Row{"NullSender", Notice::trace, "", {"2bounce"}, {notify::success}, {}}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(NoticePlan, FullReportNamesEverybody)
{
    const std::vector<unsigned> masks{0, notify::never};
    NoticeCase facts;
    facts.notice = Notice::trace;
    facts.sender = "s@a.test";
    facts.double_bounce_sender = postmasters_sender;
    facts.wants_full_report = true;
    facts.notify = masks;
    EXPECT_THAT(shown(plan_notices(facts)), ElementsAre("sender verify 0 1"));
}

TEST(NoticePlan, VerpTellsEachSenderOfOneRecipient)
{
    const std::vector<unsigned> masks{0, notify::never, 0};
    NoticeCase facts;
    facts.sender = "list@a.test";
    facts.notify = masks;
    facts.one_by_one = true;
    const NoticePlan plan = plan_notices(facts);
    EXPECT_THAT(shown(plan), ElementsAre("sender failure 0", "sender failure 2"));
    EXPECT_TRUE(plan.notices[0].to_variable_sender && plan.notices[1].to_variable_sender);
}

TEST(NoticePlan, ClearedDelayIsToldToThoseWhoHeardOfIt)
{
    const std::vector<unsigned> masks{0, notify::failure, notify::delay, notify::success};
    NoticeCase facts;
    facts.notice = Notice::trace;
    facts.sender = "s@a.test";
    facts.notify = masks;
    facts.delay_cleared = true;
    EXPECT_THAT(shown(plan_notices(facts)), ElementsAre("sender success 0 2 3"));
}

TEST(NotifyClasses, RefusesUnknownNames)
{
    const std::vector<std::string> names{"resource", "bounces"};
    const auto parsed = NotifyClasses::parse(names);
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error().context, "unknown class \"bounces\"");
}

TEST(BounceParams, AgreeWithTheTableOfKnownNames)
{
    EXPECT_THAT(BounceParams().disagreements(), IsEmpty());
}

} // namespace
} // namespace bulkhead
