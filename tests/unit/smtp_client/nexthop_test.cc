#include "nexthop.h"

#include <gtest/gtest.h>

using namespace bulkhead;

namespace
{

ServicePorts ports_of_mail()
{
    ServicePorts ports;
    (void)ports.add_known("lmtp=24, smtp=25, submission=587");
    return ports;
}

struct Row {
    const char* text;
    const char* name;
    unsigned port;
    bool wants_mx;
    bool literal;
};

class NexthopParses : public testing::TestWithParam<Row>
{
};

TEST_P(NexthopParses, AsAdministratorsWriteIt)
{
    const Row& row = GetParam();
    const auto nexthop = parse_nexthop(row.text, ports_of_mail(), "smtp");
    ASSERT_TRUE(nexthop) << row.text;
    EXPECT_EQ(nexthop->name, row.name);
    EXPECT_EQ(nexthop->port, row.port);
    EXPECT_EQ(nexthop->wants_mx, row.wants_mx);
    EXPECT_EQ(nexthop->address.has_value(), row.literal);
}
INSTANTIATE_TEST_SUITE_P(Rows, NexthopParses,
                         testing::Values(Row{"example.test", "example.test", 25, true, false},
                                         Row{"example.test.", "example.test", 25, true, false},
                                         Row{"[mx.example.test]", "mx.example.test", 25, false, false},
                                         Row{"example.test:2525", "example.test", 2525, true, false},
                                         Row{"example.test:submission", "example.test", 587, true, false},
                                         Row{"[mx.example.test]:587", "mx.example.test", 587, false, false},
                                         Row{"[127.0.0.1]:2525", "127.0.0.1", 2525, false, true},
                                         Row{"127.0.0.1:26", "127.0.0.1", 26, false, true},
                                         Row{"[2001:db8::1]:26", "2001:db8::1", 26, false, true},
                                         Row{"[IPv6:2001:db8::1]", "2001:db8::1", 25, false, true},
                                         Row{"2001:db8::1", "2001:db8::1", 25, false, true}));

class NexthopRefuses : public testing::TestWithParam<const char*>
{
};

TEST_P(NexthopRefuses, WhatNamesNoHost)
{
    const auto nexthop = parse_nexthop(GetParam(), ports_of_mail(), "smtp");
    ASSERT_FALSE(nexthop);
    EXPECT_EQ(nexthop.error().fault, Fault::malformed);
}
INSTANTIATE_TEST_SUITE_P(Rows, NexthopRefuses,
                         testing::Values("", "[", "[]", "[mx.test", "[mx.test]25", "mx.test:", "mx.test:0",
                                         "mx.test:65536", "mx.test:nonsense", "a b", "-.test..",
                                         "[mx.test]:25:26", "x\r\nQUIT"));

TEST(Nexthop, OnlyADomainHasRecordsOfItsOwn)
{
    const ServicePorts services = ports_of_mail();
    const auto domain = parse_nexthop("d.test:submission", services, "smtp");
    ASSERT_TRUE(domain);
    EXPECT_TRUE(domain->is_domain && domain->wants_mx);
    for (const char* const text : {"[d.test]:submission", "192.0.2.1:25", "[::1]"}) {
        const auto other = parse_nexthop(text, services, "smtp");
        ASSERT_TRUE(other) << text;
        EXPECT_FALSE(other->is_domain || other->wants_mx) << text;
    }
    const auto mailbox_server = parse_lmtp_nexthop("d.test:lmtp", services, "24");
    ASSERT_TRUE(mailbox_server);
    EXPECT_TRUE(mailbox_server->is_domain && !mailbox_server->wants_mx);
}

TEST(Nexthops, AreTriedInTurn)
{
    EXPECT_EQ(split_nexthops("a.test, [b.test]:587 inet:c.test:25"),
              (std::vector<std::string>{"a.test", "[b.test]:587", "c.test:25"}));
}

} // namespace
