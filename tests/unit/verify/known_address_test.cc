#include "known_address.h"
#include "params.h"
#include "verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bulkhead
{
namespace
{

using ipc::AddressState;

constexpr VerifyTimes times{
    .positive_refresh = 700, .positive_expire = 3100, .negative_refresh = 30, .negative_expire = 300};

TEST(KnownAddress, ReadsBackWhatItWrites)
{
    const KnownAddress known{AddressState::undeliverable, 12, 34, "5.1.1 no: such user"};
    EXPECT_EQ(cache_value(known), "2:12:34:5.1.1 no: such user");
    EXPECT_EQ(*parse_known_address(cache_value(known)), known);
}

TEST(KnownAddress, RefusesOtherValues)
{
    for (const char* const value :
         {"", "0", "0:1", "0:1:2", "4:1:2:x", "a:1:2:x", "0:-1:2:x", "0:99999999999999999:2:x"})
        EXPECT_FALSE(parse_known_address(value)) << value;
}

struct Row {
    const char* name;
    KnownAddress known;
    std::int64_t now;
    AddressState told;
    bool probes;
};

class KnownAddresses : public testing::TestWithParam<Row>
{
};

TEST_P(KnownAddresses, AgeAsTheParametersSay)
{
    const Row& row = GetParam();
    EXPECT_EQ(verdict_on(row.known, row.now, times).state, row.told);
    EXPECT_EQ(wants_probe(row.known, row.now, times), row.probes);
}

INSTANTIATE_TEST_SUITE_P(
    Cases, KnownAddresses,
    testing::Values(
        Row{"Unknown", {}, 100'000, AddressState::pending, true},
        Row{"ProbeUnderWay", {AddressState::pending, 99'500, 0, ""}, 100'000, AddressState::pending, false},
        Row{"ProbeLost", {AddressState::pending, 98'000, 0, ""}, 100'000, AddressState::pending, true},
        Row{"ProbeOfTheFuture",
            {AddressState::pending, 200'000, 0, ""},
            100'000,
            AddressState::pending,
            true},
        Row{"Good", {AddressState::deliverable, 0, 99'500, ""}, 100'000, AddressState::deliverable, false},
        Row{"GoodAndOld",
            {AddressState::deliverable, 0, 99'000, ""},
            100'000,
            AddressState::deliverable,
            true},
        Row{"GoodOldProbed",
            {AddressState::deliverable, 99'900, 99'000, ""},
            100'000,
            AddressState::deliverable,
            false},
        Row{"GoodExpired", {AddressState::deliverable, 0, 96'000, ""}, 100'000, AddressState::pending, true},
        Row{"Bad", {AddressState::undeliverable, 0, 99'990, ""}, 100'000, AddressState::undeliverable, false},
        Row{"BadAndOld",
            {AddressState::undeliverable, 0, 99'900, ""},
            100'000,
            AddressState::undeliverable,
            true},
        Row{"BadExpired", {AddressState::undeliverable, 0, 99'600, ""}, 100'000, AddressState::pending, true},
        Row{"DeferredExpired",
            {AddressState::deferred, 0, 99'600, ""},
            100'000,
            AddressState::pending,
            true}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(KnownAddress, OneFailureDoesNotTakeAwayWhatWasGood)
{
    const KnownAddress good{AddressState::deliverable, 900, 500, "2.1.5 ok"};
    EXPECT_EQ(with_result(good, {AddressState::undeliverable, "no", "5.1.1"}, 1000, times), good);
    const KnownAddress after = with_result(good, {AddressState::undeliverable, "no", "5.1.1"}, 9000, times);
    EXPECT_EQ(after, (KnownAddress{AddressState::undeliverable, 0, 9000, "5.1.1 no"}));
}

TEST(KnownAddress, OneSuccessIsEnough)
{
    const KnownAddress bad{AddressState::undeliverable, 900, 990, "5.1.1 no"};
    EXPECT_EQ(with_result(bad, {AddressState::deliverable, "ok", "2.1.5"}, 1000, times),
              (KnownAddress{AddressState::deliverable, 0, 1000, "2.1.5 ok"}));
}

TEST(KnownAddress, TheVerdictHasCodeAndText)
{
    const KnownAddress bad{AddressState::undeliverable, 0, 1000, "5.1.1 host mx said: no"};
    const ipc::AddressVerdict verdict = verdict_on(bad, 1001, times);
    EXPECT_EQ(verdict.dsn, "5.1.1");
    EXPECT_EQ(verdict.text, "host mx said: no");
}

TEST(ProbeSender, FollowsItsParameters)
{
    EXPECT_EQ(probe_sender("double-bounce", "a.test", 0, 1000), "double-bounce@a.test");
    EXPECT_EQ(probe_sender("x@b.test", "a.test", 0, 1000), "x@b.test");
    EXPECT_EQ(probe_sender("", "a.test", 0, 1000), "");
    EXPECT_EQ(probe_sender("<>", "a.test", 0, 1000), "");
    EXPECT_EQ(probe_sender("x", "a.test", 100, 1699), "x10@a.test");
    EXPECT_NE(probe_sender("x", "a.test", 100, 1700), probe_sender("x", "a.test", 100, 1600));
}

TEST(ProbeCache, CleansWhatIsExpiredNotMoreOftenThanAsked)
{
    const auto cache = *ProbeCache::open("");
    ASSERT_TRUE(cache->store("old@a.test", {AddressState::undeliverable, 0, 1, ""}));
    ASSERT_TRUE(cache->store("good@a.test", {AddressState::deliverable, 0, 99'900, ""}));
    EXPECT_EQ(**cache->clean(100'000, 500, times), 1U);
    EXPECT_FALSE(cache->clean(100'100, 500, times)->has_value());
    EXPECT_EQ(cache->find("good@a.test")->state, AddressState::deliverable);
    EXPECT_EQ(cache->find("old@a.test")->updated, 0);
}

TEST(VerifyParams, AgreeWithTheTableOfKnownNames)
{
    EXPECT_THAT(VerifyParams().disagreements(), testing::IsEmpty());
}

} // namespace
} // namespace bulkhead
