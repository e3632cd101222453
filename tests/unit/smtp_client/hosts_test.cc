#include "hosts.h"

#include "dns/packet.h"

#include <gtest/gtest.h>

#include <set>

using namespace bulkhead;

namespace
{

Host host(const char* address, unsigned preference)
{
    return {Peer(address, *SocketAddress::parse(address, 25)), preference};
}

std::vector<std::string> names(const std::vector<Host>& hosts)
{
    std::vector<std::string> all;
    for (const Host& one : hosts)
        all.push_back(one.peer.name);
    return all;
}

std::vector<std::string> arranged(std::vector<Host> hosts, const HostOrder& order)
{
    std::minstd_rand random(1);
    arrange(hosts, order, random);
    return names(hosts);
}

using Names = std::vector<std::string>;

TEST(HostOrder, BestPreferenceFirst)
{
    HostOrder order;
    order.shuffle = false;
    EXPECT_EQ(arranged({host("192.0.2.3", 30), host("192.0.2.1", 10), host("192.0.2.2", 20)}, order),
              (Names{"192.0.2.1", "192.0.2.2", "192.0.2.3"}));
}

TEST(HostOrder, PreferredVersionFirstAmongEquals)
{
    HostOrder order;
    order.prefer = HostOrder::Prefer::ipv6;
    EXPECT_EQ(arranged({host("192.0.2.1", 10), host("2001:db8::1", 10), host("2001:db8::2", 20)}, order),
              (Names{"2001:db8::1", "192.0.2.1", "2001:db8::2"}));
}

TEST(HostOrder, LimitKeepsBothVersions)
{
    HostOrder order;
    order.shuffle = false;
    order.limit = 2;
    const std::vector<Host> hosts{host("192.0.2.1", 10), host("192.0.2.2", 10), host("2001:db8::1", 20)};
    EXPECT_EQ(arranged(hosts, order), (Names{"192.0.2.1", "2001:db8::1"}));
    order.balance = false;
    EXPECT_EQ(arranged(hosts, order), (Names{"192.0.2.1", "192.0.2.2"}));
}

TEST(HostOrder, EqualsTakeTurns)
{
    std::minstd_rand random(7);
    std::set<std::string> first;
    for (int i = 0; i < 50; ++i) {
        std::vector<Host> hosts{host("192.0.2.1", 10), host("192.0.2.2", 10), host("192.0.2.3", 20)};
        arrange(hosts, HostOrder(), random);
        first.insert(hosts.front().peer.name);
        EXPECT_EQ(hosts.back().peer.name, "192.0.2.3");
    }
    EXPECT_EQ(first, (std::set<std::string>{"192.0.2.1", "192.0.2.2"}));
}

TEST(HostOrder, LotsDrawnAreKept)
{
    std::minstd_rand random(3);
    for (int i = 0; i < 20; ++i) {
        std::vector<Host> hosts{host("192.0.2.1", 10), host("192.0.2.2", 10), host("192.0.2.3", 10)};
        for (unsigned turn = 0; turn < 3; ++turn)
            hosts[turn].turn = 3 - turn;
        arrange(hosts, HostOrder(), random);
        EXPECT_EQ(names(hosts), (Names{"192.0.2.3", "192.0.2.2", "192.0.2.1"}));
    }
}

TEST(ServiceOrder, IsByPriorityThenByLotOfWeights)
{
    using dns::SrvRecord;
    std::minstd_rand random(5);
    int heavy_first = 0;
    int none_first = 0;
    for (int i = 0; i < 1000; ++i) {
        std::vector<SrvRecord> records{SrvRecord(20, 900, 25, "late"), SrvRecord(10, 0, 25, "none"),
                                       SrvRecord(10, 10, 25, "light"), SrvRecord(10, 90, 25, "heavy")};
        arrange(records, true, random);
        EXPECT_EQ(records.back().host, "late");
        heavy_first += records.front().host == "heavy" ? 1 : 0;
        none_first += records.front().host == "none" ? 1 : 0;
    }
    EXPECT_NEAR(heavy_first, 880, 60);
    EXPECT_GT(none_first, 0);
    EXPECT_LT(none_first, 50);
}

TEST(ServiceOrder, WithoutLotsTheHeaviestIsFirst)
{
    using dns::SrvRecord;
    std::minstd_rand random(5);
    std::vector<SrvRecord> records{SrvRecord(20, 9, 25, "c"), SrvRecord(10, 1, 25, "b"),
                                   SrvRecord(10, 9, 25, "a")};
    arrange(records, false, random);
    EXPECT_EQ(records[0].host + records[1].host + records[2].host, "abc");
}

TEST(NameCompletion, FollowsTheOptions)
{
    NameCompletion completion;
    completion.domains = {"a.test", "b.test"};
    EXPECT_EQ(completion.spellings("x"), Names{"x"});
    completion.without_dot = true;
    EXPECT_EQ(completion.spellings("x"), (Names{"x.a.test", "x"}));
    EXPECT_EQ(completion.spellings("x.y"), Names{"x.y"});
    completion.with_dot = true;
    EXPECT_EQ(completion.spellings("x"), (Names{"x.a.test", "x.b.test", "x"}));
    EXPECT_EQ(completion.spellings("x.y"), (Names{"x.y", "x.y.a.test", "x.y.b.test"}));
}

TEST(HostsWithoutSelf, OnlyBetterOnesStay)
{
    std::vector<Host> hosts{host("192.0.2.1", 10), host("192.0.2.2", 20), host("192.0.2.3", 20),
                            host("192.0.2.4", 30)};
    const auto is_self = [](const Host& one) { return one.peer.name == "192.0.2.2"; };
    EXPECT_TRUE(drop_from_self_on(hosts, is_self));
    EXPECT_EQ(names(hosts), Names{"192.0.2.1"});
}

TEST(HostsWithoutSelf, TheBestBeingSelfIsALoop)
{
    std::vector<Host> hosts{host("192.0.2.1", 10), host("192.0.2.2", 20)};
    const auto is_self = [](const Host& one) { return one.peer.name == "192.0.2.1"; };
    EXPECT_FALSE(drop_from_self_on(hosts, is_self));
}

} // namespace
