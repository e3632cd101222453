#include "active_message.h"
#include "scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <random>
#include <unordered_map>

namespace bulkhead
{
namespace
{

constexpr Moment sec = 1'000'000;

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
    scheduler.add(first, to("a.test", 7), 0, 1 * sec);
    std::vector<std::size_t> sizes;
    while (auto entry = scheduler.next(1 * sec)) {
        sizes.push_back(entry->recipients.size());
        scheduler.delivered(std::move(entry), 1 * sec);
    }
    EXPECT_EQ(sizes, (std::vector<std::size_t>{3, 3, 1}));
}

TEST_F(SchedulerTest, ADestinationGetsItsInitialWindowFirst)
{
    limits = limits_with(20, 5, 1);
    scheduler.add(first, to("a.test", 50), 0, 1 * sec);
    std::vector<std::unique_ptr<Entry>> out;
    while (auto entry = scheduler.next(1 * sec))
        out.push_back(std::move(entry));
    EXPECT_EQ(out.size(), 5u);
    for (auto& entry : out)
        scheduler.returned(std::move(entry), 1 * sec);
}

TEST_F(SchedulerTest, SuccessOpensTheWindowUpToTheLimit)
{
    limits = limits_with(8, 2, 1);
    scheduler.add(first, to("a.test", 500), 0, 1 * sec);
    std::deque<std::unique_ptr<Entry>> busy;
    std::size_t most = 0;
    for (int i = 0; i < 400; ++i) {
        while (auto entry = scheduler.next(1 * sec))
            busy.push_back(std::move(entry));
        most = std::max(most, busy.size());
        ASSERT_FALSE(busy.empty());
        scheduler.delivered(std::move(busy.front()), 1 * sec);
        busy.pop_front();
    }
    EXPECT_EQ(most, 8u);
    while (!busy.empty()) {
        scheduler.returned(std::move(busy.front()), 1 * sec);
        busy.pop_front();
    }
}

TEST_F(SchedulerTest, AHangingDestinationHoldsUpNobodyElse)
{
    limits = limits_with(2, 2, 1);
    scheduler.add(first, to("hangs.test", 100), 0, 1 * sec);
    scheduler.add(second, to("works.test", 3), 0, 1 * sec);
    std::vector<std::unique_ptr<Entry>> hanging;
    int delivered = 0;
    for (int i = 0; i < 10; ++i)
        if (auto entry = scheduler.next(1 * sec)) {
            if (entry->destination->nexthop == "hangs.test") {
                hanging.push_back(std::move(entry));
            } else {
                ++delivered;
                scheduler.delivered(std::move(entry), 1 * sec);
            }
        }
    EXPECT_EQ(hanging.size(), 2u);
    EXPECT_EQ(delivered, 3);
    for (auto& entry : hanging)
        scheduler.returned(std::move(entry), 1 * sec);
}

TEST_F(SchedulerTest, ASiteThatFailsAsOftenAsItsWindowIsDeadAndComesBack)
{
    limits = limits_with(20, 1, 1);
    scheduler.add(first, to("a.test", 3), 0, 1000 * sec);
    auto entry = scheduler.next(1000 * sec);
    ASSERT_TRUE(entry);
    EXPECT_TRUE(scheduler.site_failed(std::move(entry), "4.4.1 connect to a.test: refused", 1000 * sec,
                                      Seconds(300)));
    EXPECT_FALSE(scheduler.next(1001 * sec));
    EXPECT_EQ(scheduler.suspension("smtp", "a.test", 1001 * sec), "4.4.1 connect to a.test: refused");
    EXPECT_EQ(scheduler.next_event(1001 * sec), 1300 * sec);

    const std::string nexthop = "a.test";
    auto waiting = scheduler.take_waiting("smtp", &nexthop);
    EXPECT_EQ(waiting.size(), 2u);
    for (auto& w : waiting)
        scheduler.returned(std::move(w), 1001 * sec);
    EXPECT_EQ(scheduler.waiting(), 0u);

    scheduler.tick(1300 * sec);
    EXPECT_EQ(scheduler.suspension("smtp", "a.test", 1300 * sec), "");
    scheduler.add(second, to("a.test", 1), 0, 1300 * sec);
    auto again = scheduler.next(1300 * sec);
    ASSERT_TRUE(again);
    scheduler.delivered(std::move(again), 1300 * sec);
}

TEST_F(SchedulerTest, AFlushForgetsDeadDestinations)
{
    limits = limits_with(20, 1, 1);
    scheduler.add(first, to("a.test", 1), 0, 1000 * sec);
    auto entry = scheduler.next(1000 * sec);
    scheduler.site_failed(std::move(entry), "4.4.1 x", 1000 * sec, Seconds(300));
    scheduler.forget_failures();
    scheduler.tick(1001 * sec);
    EXPECT_EQ(scheduler.suspension("smtp", "a.test", 1001 * sec), "");
}

TEST_F(SchedulerTest, ASuspendedTransportGivesNothingUntilItsTime)
{
    scheduler.add(first, to("a.test", 1), 0, 1000 * sec);
    scheduler.suspend_transport("smtp", 1060 * sec);
    EXPECT_FALSE(scheduler.next(1001 * sec));
    EXPECT_TRUE(scheduler.is_suspended("smtp", 1001 * sec));
    scheduler.tick(1060 * sec);
    auto entry = scheduler.next(1060 * sec);
    ASSERT_TRUE(entry);
    scheduler.delivered(std::move(entry), 1060 * sec);
}

TEST_F(SchedulerTest, ARateDelaySpacesDeliveries)
{
    limits = limits_with(20, 5, 1);
    limits.destination_rate = *Rate::parse("2s");
    scheduler.add(first, to("a.test", 3), 0, 1000 * sec);
    auto one = scheduler.next(1000 * sec);
    ASSERT_TRUE(one);
    EXPECT_FALSE(scheduler.next(1000 * sec));
    scheduler.delivered(std::move(one), 1003 * sec); // the delay begins when it is over
    EXPECT_FALSE(scheduler.next(1004 * sec));
    EXPECT_EQ(scheduler.next_event(1004 * sec), 1005 * sec);
    scheduler.tick(1005 * sec);
    auto two = scheduler.next(1005 * sec);
    ASSERT_TRUE(two);
    scheduler.returned(std::move(two), 1005 * sec);
}

TEST_F(SchedulerTest, ARateSpacesStartsAndLeavesTheConcurrency)
{
    limits = limits_with(20, 5, 1);
    limits.destination_rate = *Rate::parse("20/s");
    scheduler.add(first, to("a.test", 100), 0, 0);
    std::vector<std::unique_ptr<Entry>> out;
    int started = 0;
    for (Moment now = 0; now < 2 * sec; now += sec / 1000) {
        scheduler.tick(now);
        while (auto entry = scheduler.next(now)) {
            ++started;
            out.push_back(std::move(entry));
        }
        while (out.size() > 3) { // the peer is slow: several are under way at once
            scheduler.delivered(std::move(out.front()), now);
            out.erase(out.begin());
        }
    }
    EXPECT_NEAR(started, 40, 1);
    for (auto& entry : out)
        scheduler.returned(std::move(entry), 2 * sec);
}

TEST_F(SchedulerTest, ATransportRateHoldsForAllItsDestinations)
{
    limits = limits_with(20, 5, 1);
    limits.transport_rate = *Rate::parse("10/s");
    for (int i = 0; i < 50; ++i)
        scheduler.add(first, to("d" + std::to_string(i), 2), 0, 0);
    int started = 0;
    Moment now = 0;
    while (now < 3 * sec) {
        scheduler.tick(now);
        while (auto entry = scheduler.next(now)) {
            ++started;
            scheduler.delivered(std::move(entry), now);
        }
        now = scheduler.next_event(now); // also: it says when to come back
        ASSERT_GT(now, 0);
    }
    EXPECT_EQ(started, 30);
}

TEST_F(SchedulerTest, WhereRecipientsAreAloneEachMailboxIsADestination)
{
    limits = limits_with(1, 1, 1);
    auto recipients = to("host.test", 3);
    for (auto& recipient : recipients)
        recipient.queue = recipient.recipient.address + "@host.test";
    scheduler.add(first, std::move(recipients), 0, 0);
    std::vector<std::unique_ptr<Entry>> out;
    while (auto entry = scheduler.next(0)) {
        EXPECT_EQ(entry->destination->nexthop, "host.test");
        out.push_back(std::move(entry));
    }
    EXPECT_EQ(out.size(), 3u);
    for (auto& entry : out)
        scheduler.returned(std::move(entry), 0);
}

// ---- preemption ---------------------------------------------------------------------

// The order in which messages are served when one entry is delivered at a time.
std::string order_of_service(Scheduler& scheduler, const std::map<const ActiveMessage*, char>& names,
                             Moment now, std::size_t most)
{
    std::string order;
    for (std::size_t i = 0; i < most; ++i) {
        auto entry = scheduler.next(now);
        if (!entry)
            break;
        order += names.at(entry->message);
        scheduler.delivered(std::move(entry), now);
    }
    return order;
}

TEST_F(SchedulerTest, ASmallMessageOvertakesABigOne)
{
    limits = limits_with(20, 5, 1);
    scheduler.add(first, to("a.test", 100), 0, 0);
    scheduler.add(second, to("b.test", 1), 0, sec);
    const std::string order = order_of_service(scheduler, {{&first, 'A'}, {&second, 'b'}}, 2 * sec, 200);
    EXPECT_EQ(order.size(), 101u);
    // As soon as the big one has a slot to lend.
    EXPECT_EQ(order.find('b'), 1u) << order;
}

TEST_F(SchedulerTest, WithoutASlotCostItIsFirstComeFirstServed)
{
    for (const int cost : {0, 1}) {
        limits = limits_with(20, 5, 1);
        limits.slot_cost = cost;
        Scheduler fifo([this](const std::string&) { return limits; });
        fifo.add(first, to("a.test", 30), 0, 0);
        fifo.add(second, to("b.test", 1), 0, sec);
        EXPECT_EQ(order_of_service(fifo, {{&first, 'A'}, {&second, 'b'}}, 2 * sec, 100).find('b'), 30u);
    }
}

TEST_F(SchedulerTest, ABigMessageIsDelayedByAtMostItsShare)
{
    limits = limits_with(20, 5, 1);
    limits.slot_loan = 0;
    scheduler.add(first, to("a.test", 1000), 0, 0);
    std::vector<ActiveMessage> small(2000);
    std::map<const ActiveMessage*, char> names{{&first, 'A'}};
    for (ActiveMessage& message : small) {
        names[&message] = 'b';
        scheduler.add(message, to("b.test", 1), 0, sec);
    }
    const std::string order = order_of_service(scheduler, names, 2 * sec, 5000);
    ASSERT_EQ(order.size(), 3000u);
    const auto end_of_big = order.rfind('A');
    // 1 + 1/slot_cost times its own length; the discount lets some in early.
    EXPECT_LE(end_of_big, 1000u * 6 / 5 + 10);
    EXPECT_GE(std::ranges::count(order.substr(0, end_of_big), 'b'), 150);
}

TEST_F(SchedulerTest, AJobThatMayNotBePaidForWaits)
{
    limits = limits_with(20, 5, 1);
    scheduler.add(first, to("a.test", 30), 0, 0);
    scheduler.add(second, to("b.test", 20), 0, sec); // 30/5 = 6 entries are affordable
    EXPECT_EQ(order_of_service(scheduler, {{&first, 'A'}, {&second, 'b'}}, 2 * sec, 100).find('b'), 30u);
}

TEST_F(SchedulerTest, ManyLevelsOfPreemptionLeaveNothingBehind)
{
    limits = limits_with(3, 1, 1);
    limits.minimum_slots = 1;
    limits.slot_cost = 2;
    std::vector<ActiveMessage> messages(60);
    std::map<const ActiveMessage*, int> wanted, got;
    Moment now = 0;
    for (std::size_t i = 0; i < messages.size(); ++i) {
        const int count = static_cast<int>(600 / (i + 1));
        wanted[&messages[i]] = count;
        scheduler.add(messages[i], to("d" + std::to_string(i % 7), count), 0, now += sec);
    }
    while (auto entry = scheduler.next(now)) {
        ++got[entry->message];
        scheduler.delivered(std::move(entry), now += sec / 10);
    }
    EXPECT_EQ(got, wanted);
    EXPECT_EQ(scheduler.waiting(), 0u);
}

TEST_F(SchedulerTest, PlacesBetweenTwoJobsDoNotRunOut)
{
    limits = limits_with(20, 20, 1);
    limits.slot_loan = 1000;
    scheduler.add(first, to("a.test", 10000), 0, 0);
    std::vector<ActiveMessage> small(3000);
    std::size_t served = 0;
    Moment now = 0;
    for (ActiveMessage& message : small) { // each is let in right before the big one
        now += sec;
        auto own = scheduler.next(now);
        scheduler.add(message, to("b.test", 1), 0, now);
        auto entry = scheduler.next(now + sec);
        served += entry->message != &first;
        scheduler.delivered(std::move(entry), now);
        scheduler.delivered(std::move(own), now);
    }
    EXPECT_GT(served, 500u);
}

TEST_F(SchedulerTest, RoomForRecipients)
{
    limits = limits_with(20, 5, 50);
    limits.recipients_in_memory = 100;
    scheduler.add(first, to("a.test", 40), 1000, 0);
    EXPECT_EQ(scheduler.room_for(first, 40, 500, 10), 60u);  // what the transport leaves
    EXPECT_EQ(scheduler.room_for(first, 40, 20, 10), 20u);   // what all messages leave
    EXPECT_EQ(scheduler.room_for(first, 4, 0, 10), 6u);      // the minimum
    EXPECT_EQ(scheduler.room_for(second, 0, 500, 10), 500u); // nothing known of it
}

TEST(Rate, ReadsDelaysAndRates)
{
    struct Row {
        const char* text;
        bool good;
        std::int64_t interval;
        bool per_start;
    };
    for (const Row& row :
         {Row{"0s", true, 0, false}, Row{"2", true, 2 * sec, false}, Row{"5m", true, 300 * sec, false},
          Row{"20/s", true, sec / 20, true}, Row{"600/h", true, 6 * sec, true},
          Row{"1 / d", true, 86400 * sec, true}, Row{"", false, 0, false}, Row{"0/s", false, 0, false},
          Row{"5/x", false, 0, false}, Row{"5/", false, 0, false}, Row{"-1", false, 0, false},
          Row{"/s", false, 0, false}, Row{"5/ss", false, 0, false}, Row{"9999999/s", false, 0, false}}) {
        const auto rate = Rate::parse(row.text);
        ASSERT_EQ(static_cast<bool>(rate), row.good) << row.text;
        if (!rate)
            continue;
        EXPECT_EQ(rate->interval(), row.interval) << row.text;
        EXPECT_EQ(rate->is_per_start(), row.per_start) << row.text;
    }
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

// A million recipients, thousands of destinations, random outcomes, arrivals in between:
// nothing is forgotten, nothing is delivered twice, no window and no age is exceeded.
TEST(SchedulerSimulation, ForgetsNothing)
{
    constexpr std::size_t recipients_wanted = 1'000'000;
    constexpr std::size_t destinations = 3000;
    std::mt19937 random(42);
    Scheduler scheduler([](const std::string& transport) {
        TransportLimits limits = limits_with(10, 3, 5);
        if (transport == "slow")
            limits.destination_rate = *Rate::parse("50/s");
        return limits;
    });
    std::deque<ActiveMessage> messages;
    std::unordered_map<ActiveMessage*, std::size_t> left;
    std::map<const Destination*, int> busy_of;
    std::vector<std::unique_ptr<Entry>> busy;
    std::size_t given = 0, settled = 0;
    Moment now = sec;

    const auto add_message = [&] {
        ActiveMessage& message = messages.emplace_back();
        const std::size_t size = random() % 50 == 0 ? 1 + random() % 4000 : 1 + random() % 3;
        std::vector<RoutedRecipient> recipients;
        for (std::size_t i = 0; i < size; ++i) {
            const std::string nexthop = "d" + std::to_string(random() % destinations);
            const char* const transport = random() % 3 ? "smtp" : random() % 3 ? "relay" : "slow";
            recipients.push_back({{static_cast<std::int64_t>(i) + 1, "r", "", "", 0}, transport, nexthop});
        }
        given += size;
        left[&message] = size;
        scheduler.add(message, std::move(recipients), 0, now);
    };
    const auto settle = [&](ActiveMessage* message, std::size_t count) {
        settled += count;
        const auto found = left.find(message);
        ASSERT_NE(found, left.end());
        ASSERT_GE(found->second, count);
        if ((found->second -= count) == 0) {
            message->jobs.clear(); // whoever still has one of them is caught by ASan
            left.erase(found);
        }
    };
    while (given < recipients_wanted || settled < given) {
        if (given < recipients_wanted && given - settled < 20'000 && random() % 4 == 0)
            add_message();
        auto entry = busy.size() < 500 ? scheduler.next(now) : nullptr;
        if (entry) {
            ASSERT_LE(++busy_of[entry->destination], 10);
            ASSERT_LE(entry->recipients.size(), 5u);
            busy.push_back(std::move(entry));
            continue;
        }
        if (busy.empty()) {
            const Moment next = scheduler.next_event(now);
            ASSERT_TRUE(next > 0 || given < recipients_wanted) << "work left, but nothing to wait for";
            now = std::max(now, next);
            scheduler.tick(now);
            continue;
        }
        now += random() % 1000;
        const std::size_t pick = random() % busy.size();
        std::swap(busy[pick], busy.back());
        entry = std::move(busy.back());
        busy.pop_back();
        Destination* const destination = entry->destination;
        if (--busy_of[destination] == 0)
            busy_of.erase(destination); // it may be forgotten, and its address used again
        ActiveMessage* const message = entry->message;
        const std::size_t count = entry->recipients.size();
        const std::string transport = destination->transport->name;
        const std::string queue = destination->name;
        if (random() % 20 == 0) {
            const bool dead = scheduler.site_failed(std::move(entry), "4.4.1 x", now, Seconds(10));
            settle(message, count);
            auto waiting =
                dead ? scheduler.take_waiting(transport, &queue) : std::vector<std::unique_ptr<Entry>>();
            for (auto& one : waiting) {
                ActiveMessage* const of = one->message;
                const std::size_t its = one->recipients.size();
                scheduler.returned(std::move(one), now);
                settle(of, its);
            }
        } else {
            scheduler.delivered(std::move(entry), now);
            settle(message, count);
        }
        if (random() % 100 == 0)
            scheduler.tick(now);
    }
    EXPECT_EQ(settled, given);
    EXPECT_EQ(scheduler.waiting(), 0u);
    EXPECT_TRUE(left.empty());
}

// Hundreds of destinations that accept and never answer, and one that works: it need not wait
// for any of them, whether it was known before or not.
struct Hanging : testing::TestWithParam<int> {
    static constexpr std::size_t capacity = 2000;

    // As many as the scheduler gives at once.
    void fill()
    {
        while (busy.size() < capacity) {
            auto entry = scheduler.next(now);
            if (!entry)
                break;
            busy.push_back(std::move(entry));
        }
    }
    std::unique_ptr<Entry> take_one_for(const std::string& nexthop)
    {
        fill();
        const auto found = std::ranges::find_if(
            busy, [&](const auto& entry) { return entry->destination->nexthop == nexthop; });
        if (found == busy.end())
            return nullptr;
        auto entry = std::move(*found);
        busy.erase(found);
        return entry;
    }
    void deliver_one(const std::string& nexthop)
    {
        scheduler.add(messages.emplace_back(), to(nexthop, 1), 0, now);
        auto entry = take_one_for(nexthop);
        ASSERT_TRUE(entry) << nexthop << " waits behind " << busy.size() << " that hang";
        now += 20'000;
        scheduler.delivered(std::move(entry), now);
    }
    void let_hang(int destinations)
    {
        for (int i = 0; i < 10 * destinations; ++i)
            scheduler.add(messages.emplace_back(), to("hangs" + std::to_string(i % destinations), 1), 0, now);
        fill();
    }
    void TearDown() override
    {
        for (auto& entry : busy)
            scheduler.returned(std::move(entry), now);
    }

    Scheduler scheduler{[](const std::string&) { return limits_with(20, 5, 1); }};
    std::deque<ActiveMessage> messages;
    std::vector<std::unique_ptr<Entry>> busy;
    Moment now = sec;
};

TEST_P(Hanging, LeavesRoomForOneThatWasNeverSeen)
{
    scheduler.set_capacity(capacity);
    let_hang(GetParam());
    deliver_one("new.test");
}

TEST_P(Hanging, LeavesRoomForOneThatIsKnown)
{
    scheduler.set_capacity(capacity);
    deliver_one("known.test"); // its queue is empty then, and forgotten
    let_hang(GetParam());
    for (int i = 0; i < 100; ++i)
        deliver_one("known.test");
}

INSTANTIATE_TEST_SUITE_P(Destinations, Hanging, testing::Values(1, 50, 500, 1400),
                         testing::PrintToStringParamName());

TEST_F(Hanging, EvenThousandsLeaveAQuarterToThoseThatAreKnown)
{
    scheduler.set_capacity(capacity);
    deliver_one("known.test");
    let_hang(5000);
    EXPECT_EQ(busy.size(), capacity / 4 * 3);
    for (int i = 0; i < 100; ++i)
        deliver_one("known.test");
}

TEST_F(Hanging, ThoseThatFailAreNotKnownAnyMore)
{
    scheduler.set_capacity(capacity);
    deliver_one("fails.test");
    scheduler.add(messages.emplace_back(), to("fails.test", 1), 0, now);
    auto entry = take_one_for("fails.test");
    ASSERT_TRUE(entry);
    scheduler.site_failed(std::move(entry), "4.4.2 x", now, Seconds(1));
    now += 2 * sec;
    scheduler.tick(now);
    let_hang(5000);
    scheduler.add(messages.emplace_back(), to("fails.test", 1), 0, now);
    EXPECT_FALSE(take_one_for("fails.test"));
}

// All of a capacity is used when nothing hangs.
TEST_F(Hanging, WhatWorksMayUseAll)
{
    scheduler.set_capacity(capacity);
    for (int i = 0; i < 200; ++i)
        deliver_one("works" + std::to_string(i));
    for (int i = 0; i < 200; ++i)
        scheduler.add(messages.emplace_back(), to("works" + std::to_string(i), 100), 0, now);
    for (int round = 0; round < 40; ++round) {
        fill();
        for (auto& entry : std::exchange(busy, {}))
            scheduler.delivered(std::move(entry), now);
    }
    for (int i = 0; i < 200; ++i)
        scheduler.add(messages.emplace_back(), to("works" + std::to_string(i), 100), 0, now);
    fill();
    EXPECT_GE(busy.size(), 200u * 5);
}

// Destinations with the same work get the same service, whatever their number and the order in
// which deliveries end.
TEST(SchedulerSimulation, DestinationsTakeTurns)
{
    constexpr int destinations = 1000;
    constexpr int each = 100;
    std::mt19937 random(7);
    Scheduler scheduler([](const std::string&) { return limits_with(20, 5, 1); });
    scheduler.set_capacity(200);
    ActiveMessage mailing;
    std::vector<RoutedRecipient> recipients;
    for (int i = 0; i < destinations * each; ++i)
        recipients.push_back({{i + 1, "r", "", "", 0}, "smtp", "d" + std::to_string(i % destinations)});
    scheduler.add(mailing, std::move(recipients), 0, sec);
    std::vector<std::unique_ptr<Entry>> busy;
    std::unordered_map<std::string, int> done;
    int least = 0, widest = 0;
    for (int settled = 0; settled < destinations * each; ++settled) {
        while (busy.size() < 200) {
            auto entry = scheduler.next(sec);
            if (!entry)
                break;
            busy.push_back(std::move(entry));
        }
        ASSERT_FALSE(busy.empty());
        std::swap(busy[random() % busy.size()], busy.back());
        const int has = ++done[busy.back()->destination->nexthop];
        scheduler.delivered(std::move(busy.back()), sec);
        busy.pop_back();
        if (settled % destinations == destinations - 1) {
            least = each;
            for (const auto& [name, count] : done)
                least = std::min(least, count);
        }
        widest = std::max(widest, has - least);
    }
    EXPECT_EQ(done.size(), std::size_t{destinations});
    EXPECT_LE(widest, 12) << "some are served at the cost of others";
}

// A mailing of 20,000 recipients and a trickle of single letters: the letters do not wait
// for its end.
TEST(SchedulerSimulation, LettersPassAMailing)
{
    Scheduler scheduler([](const std::string&) { return limits_with(20, 5, 1); });
    ActiveMessage mailing;
    std::vector<RoutedRecipient> recipients;
    for (int i = 0; i < 20000; ++i)
        recipients.push_back({{i + 1, "r", "", "", 0}, "smtp", "d" + std::to_string(i % 500)});
    scheduler.add(mailing, std::move(recipients), 0, 0);
    std::deque<ActiveMessage> letters;
    std::map<const ActiveMessage*, Moment> arrived;
    std::deque<std::unique_ptr<Entry>> busy;
    Moment now = 0, longest = 0;
    std::size_t delivered = 0;
    for (int step = 0; step < 24000; ++step) {
        now += sec / 200; // 200 deliveries a second, 50 at once
        if (step % 10 == 0) {
            ActiveMessage& letter = letters.emplace_back();
            arrived[&letter] = now;
            scheduler.add(letter, to("quick.test", 1), 0, now);
        }
        while (busy.size() < 50) {
            auto entry = scheduler.next(now);
            if (!entry)
                break;
            if (entry->message != &mailing) {
                longest = std::max(longest, now - arrived.at(entry->message));
                ++delivered;
            }
            busy.push_back(std::move(entry));
        }
        if (busy.empty())
            continue;
        scheduler.delivered(std::move(busy.front()), now);
        busy.pop_front();
    }
    EXPECT_GT(delivered, 2000u);
    EXPECT_LT(longest, 5 * sec) << "the mailing alone takes 100 seconds";
}

} // namespace
} // namespace bulkhead
