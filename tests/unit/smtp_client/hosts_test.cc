#include "hosts.h"

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
