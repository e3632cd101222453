#include "active_message.h"
#include "scheduler.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

namespace bulkhead
{
namespace
{

TransportLimits limits_with(int concurrency, int initial, int recipients = 50)
{
    TransportLimits limits;
    limits.concurrency = concurrency;
    limits.initial = initial;
    limits.recipients = recipients;
    return limits;
}

std::vector<RoutedRecipient> to(const std::string& nexthop, int count, const std::string& transport = "smtp")
{
    std::vector<RoutedRecipient> recipients;
    for (int i = 0; i < count; ++i)
        recipients.push_back(
            {{i + 1, "r" + std::to_string(i) + "@" + nexthop, "", "", 0}, transport, nexthop});
    return recipients;
}

struct Fixture : testing::Test {
    TransportLimits limits = limits_with(20, 5);
    Scheduler scheduler{[this](const std::string&) { return limits; }};
    ActiveMessage first, second, third;
};
using SchedulerTest = Fixture;

TEST_F(SchedulerTest, AnEntryHoldsAtMostTheRecipientLimit)
{
    limits = limits_with(20, 5, 3);
    scheduler.add(first, to("a.test", 7), 1);
    std::vector<std::size_t> sizes;
    while (auto entry = scheduler.next(1)) {
        sizes.push_back(entry->recipients.size());
        scheduler.delivered(std::move(entry), 1);
    }
    EXPECT_EQ(sizes, (std::vector<std::size_t>{3, 3, 1}));
}

TEST_F(SchedulerTest, ADestinationGetsItsInitialWindowFirst)
{
    limits = limits_with(20, 5, 1);
    scheduler.add(first, to("a.test", 50), 1);
    std::vector<std::unique_ptr<Entry>> out;
    while (auto entry = scheduler.next(1))
        out.push_back(std::move(entry));
    EXPECT_EQ(out.size(), 5u);
    for (auto& entry : out)
        scheduler.returned(std::move(entry), 1);
}

TEST_F(SchedulerTest, SuccessOpensTheWindowUpToTheLimit)
{
    limits = limits_with(8, 2, 1);
    scheduler.add(first, to("a.test", 500), 1);
    std::deque<std::unique_ptr<Entry>> busy;
    std::size_t most = 0;
    for (int i = 0; i < 400; ++i) {
        while (auto entry = scheduler.next(1))
            busy.push_back(std::move(entry));
        most = std::max(most, busy.size());
        ASSERT_FALSE(busy.empty());
        scheduler.delivered(std::move(busy.front()), 1);
        busy.pop_front();
    }
    EXPECT_EQ(most, 8u);
    while (!busy.empty()) {
        scheduler.returned(std::move(busy.front()), 1);
        busy.pop_front();
    }
}

TEST_F(SchedulerTest, AHangingDestinationHoldsUpNobodyElse)
{
    limits = limits_with(2, 2, 1);
    scheduler.add(first, to("hangs.test", 100), 1);
    scheduler.add(second, to("works.test", 3), 1);
    std::vector<std::unique_ptr<Entry>> hanging;
    int delivered = 0;
    for (int i = 0; i < 10; ++i)
        if (auto entry = scheduler.next(1)) {
            if (entry->destination->nexthop == "hangs.test") {
                hanging.push_back(std::move(entry));
            } else {
                ++delivered;
                scheduler.delivered(std::move(entry), 1);
            }
        }
    EXPECT_EQ(hanging.size(), 2u);
    EXPECT_EQ(delivered, 3);
    for (auto& entry : hanging)
        scheduler.returned(std::move(entry), 1);
}

TEST_F(SchedulerTest, ASiteThatFailsAsOftenAsItsWindowIsDeadAndComesBack)
{
    limits = limits_with(20, 1, 1);
    scheduler.add(first, to("a.test", 3), 1000);
    auto entry = scheduler.next(1000);
    ASSERT_TRUE(entry);
    EXPECT_TRUE(
        scheduler.site_failed(std::move(entry), "4.4.1 connect to a.test: refused", 1000, Seconds(300)));
    EXPECT_FALSE(scheduler.next(1001));
    EXPECT_EQ(scheduler.suspension("smtp", "a.test", 1001), "4.4.1 connect to a.test: refused");
    EXPECT_EQ(scheduler.next_event(1001), 1300);

    const std::string nexthop = "a.test";
    auto waiting = scheduler.take_waiting("smtp", &nexthop);
    EXPECT_EQ(waiting.size(), 2u);
    for (auto& w : waiting)
        scheduler.returned(std::move(w), 1001);
    EXPECT_EQ(scheduler.waiting(), 0u);

    scheduler.tick(1300);
    EXPECT_EQ(scheduler.suspension("smtp", "a.test", 1300), "");
    scheduler.add(second, to("a.test", 1), 1300);
    auto again = scheduler.next(1300);
    ASSERT_TRUE(again);
    scheduler.delivered(std::move(again), 1300);
}

TEST_F(SchedulerTest, AFlushForgetsDeadDestinations)
{
    limits = limits_with(20, 1, 1);
    scheduler.add(first, to("a.test", 1), 1000);
    auto entry = scheduler.next(1000);
    scheduler.site_failed(std::move(entry), "4.4.1 x", 1000, Seconds(300));
    scheduler.forget_failures();
    scheduler.tick(1001);
    EXPECT_EQ(scheduler.suspension("smtp", "a.test", 1001), "");
}

TEST_F(SchedulerTest, ASuspendedTransportGivesNothingUntilItsTime)
{
    scheduler.add(first, to("a.test", 1), 1000);
    scheduler.suspend_transport("smtp", 1060);
    EXPECT_FALSE(scheduler.next(1001));
    EXPECT_TRUE(scheduler.is_suspended("smtp", 1001));
    scheduler.tick(1060);
    auto entry = scheduler.next(1060);
    ASSERT_TRUE(entry);
    scheduler.delivered(std::move(entry), 1060);
}

TEST_F(SchedulerTest, ARateDelaySpacesDeliveries)
{
    limits = limits_with(20, 5, 1);
    limits.rate_delay = Seconds(2);
    scheduler.add(first, to("a.test", 3), 1000);
    auto one = scheduler.next(1000);
    ASSERT_TRUE(one);
    EXPECT_FALSE(scheduler.next(1000));
    scheduler.delivered(std::move(one), 1000);
    EXPECT_FALSE(scheduler.next(1001));
    EXPECT_EQ(scheduler.next_event(1001), 1002);
    scheduler.tick(1002);
    auto two = scheduler.next(1002);
    ASSERT_TRUE(two);
    scheduler.returned(std::move(two), 1002);
}

TEST(Feedback, ReadsItsForms)
{
    struct Row {
        const char* text;
        bool good;
        double at_ten;
    };
    for (const Row& row :
         {Row{"1", true, 1}, Row{"0.5", true, 0.5}, Row{"1/4", true, 0.25}, Row{"1/concurrency", true, 0.1},
          Row{"", false, 0}, Row{"x", false, 0}, Row{"1/0", false, 0}, Row{"-1", false, 0}}) {
        const auto feedback = Feedback::parse(row.text);
        ASSERT_EQ(static_cast<bool>(feedback), row.good) << row.text;
        if (feedback)
            EXPECT_DOUBLE_EQ(feedback->at(10), row.at_ten) << row.text;
    }
}

// Thousands of destinations, random outcomes: nothing is forgotten, nothing is
// delivered twice, no window is exceeded.
TEST(SchedulerSimulation, ForgetsNothing)
{
    constexpr int messages = 2000;
    std::mt19937 random(42);
    Scheduler scheduler([](const std::string&) { return limits_with(10, 3, 5); });
    std::vector<ActiveMessage> active(messages);
    std::size_t wanted = 0;
    for (ActiveMessage& message : active) {
        std::vector<RoutedRecipient> recipients;
        const int count = 1 + static_cast<int>(random() % 40);
        for (int i = 0; i < count; ++i) {
            const std::string nexthop = "d" + std::to_string(random() % 1000);
            recipients.push_back(
                {{i + 1, "r@" + nexthop, "", "", 0}, random() % 3 ? "smtp" : "relay", nexthop});
        }
        wanted += recipients.size();
        scheduler.add(message, std::move(recipients), 1);
    }
    std::size_t settled = 0;
    std::map<Destination*, int> busy_of;
    std::vector<std::unique_ptr<Entry>> busy;
    std::int64_t now = 1;
    while (settled < wanted) {
        auto entry = busy.size() < 300 ? scheduler.next(now) : nullptr;
        if (entry) {
            EXPECT_LE(++busy_of[entry->destination], 10);
            busy.push_back(std::move(entry));
            continue;
        }
        if (busy.empty()) {
            now = scheduler.next_event(now);
            ASSERT_GT(now, 0) << "work left, but nothing to wait for";
            scheduler.tick(now);
            continue;
        }
        const std::size_t pick = random() % busy.size();
        std::swap(busy[pick], busy.back());
        entry = std::move(busy.back());
        busy.pop_back();
        --busy_of[entry->destination];
        const std::size_t recipients = entry->recipients.size();
        Destination* const destination = entry->destination;
        const std::string transport = destination->transport->name;
        const std::string nexthop = destination->nexthop;
        settled += recipients;
        if (random() % 10 == 0) {
            if (scheduler.site_failed(std::move(entry), "4.4.1 x", now, Seconds(10)))
                for (auto& waiting : scheduler.take_waiting(transport, &nexthop)) {
                    settled += waiting->recipients.size();
                    scheduler.returned(std::move(waiting), now);
                }
        } else {
            scheduler.delivered(std::move(entry), now);
        }
        if (busy_of[destination] == 0)
            busy_of.erase(destination); // it may be forgotten, and its address used again
    }
    EXPECT_EQ(settled, wanted);
    EXPECT_EQ(scheduler.waiting(), 0u);
}

} // namespace
} // namespace bulkhead
