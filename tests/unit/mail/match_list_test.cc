#include "mail/match_list.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace bulkhead
{
namespace
{

struct Row {
    std::string network;
    std::string address;
    bool contained;
};

TEST(Network, ContainsItsAddresses)
{
    const std::vector<Row> rows = {
        {"127.0.0.0/8", "127.255.0.1", true},
        {"127.0.0.0/8", "128.0.0.1", false},
        {"192.0.2.0/25", "192.0.2.127", true},
        {"192.0.2.0/25", "192.0.2.128", false},
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"0.0.0.0/0", "1.2.3.4", true},
        {"0.0.0.0/0", "::1", false},
        {"[::1]/128", "::1", true},
        {"[::1/128]", "::1", true},
        {"[::1]", "::2", false},
        {"[fe80::]/10", "febf::1", true},
        {"[fe80::]/10", "fec0::1", false},
        {"2001:db8::/32", "2001:db8:1::1", true},
        {"[::ffff:127.0.0.0]/8", "127.0.0.1", true},
        {"127.0.0.0/8", "::ffff:127.0.0.1", true},
        {"::/0", "127.0.0.1", false},
    };
    for (const auto& row : rows) {
        const auto network = Network::parse(row.network);
        const auto address = IpAddress::parse(row.address);
        ASSERT_TRUE(network) << row.network;
        ASSERT_TRUE(address) << row.address;
        EXPECT_EQ(network->contains(*address), row.contained) << row.network << ' ' << row.address;
    }
}

TEST(Network, RefusesBadText)
{
    for (const std::string text : {"", "x", "1.2.3", "1.2.3.4/33", "1.2.3.4/", "1.2.3.4/-1", "[::1/128",
                                   "::1/129", "10.0.0.1/8", "[fe80::1]/10"})
        EXPECT_FALSE(Network::parse(text)) << text;
}

TEST(Network, TellsWhatWasProbablyMeant)
{
    EXPECT_NE(Network::parse("10.1.2.3/8").error().context.find("\"10.0.0.0/8\""), std::string::npos);
    EXPECT_EQ(Network::parse("[::1]/128")->text(), "[::1]/128");
}

TEST(IpAddress, HasOneTextForm)
{
    EXPECT_EQ(IpAddress::parse("IPv6:2001:DB8::1")->text(), "2001:db8::1");
    EXPECT_EQ(IpAddress::parse("::ffff:192.0.2.1")->text(), "192.0.2.1");
    EXPECT_FALSE(IpAddress::parse("localhost"));
}

TEST(NetworkList, FirstMatchDecides)
{
    const auto list = NetworkList::parse("127.0.0.0/8 [::1]/128, !192.0.2.1 192.0.2.0/24");
    ASSERT_TRUE(list);
    EXPECT_TRUE(list->contains(*IpAddress::parse("127.0.0.1")));
    EXPECT_TRUE(list->contains(*IpAddress::parse("::1")));
    EXPECT_TRUE(list->contains(*IpAddress::parse("192.0.2.2")));
    EXPECT_FALSE(list->contains(*IpAddress::parse("192.0.2.1")));
    EXPECT_EQ(list->find(*IpAddress::parse("10.0.0.1")), std::nullopt);
    EXPECT_FALSE(NetworkList::parse("127.0.0.0/8 hash:/x"));
}

TEST(DomainMatches, KnowsParents)
{
    EXPECT_TRUE(domain_matches("Example.test", "example.TEST", false));
    EXPECT_FALSE(domain_matches("example.test", "a.example.test", false));
    EXPECT_TRUE(domain_matches("example.test", "a.example.test", true));
    EXPECT_FALSE(domain_matches("example.test", "anexample.test", true));
    EXPECT_TRUE(domain_matches(".example.test", "a.example.test", false));
    EXPECT_FALSE(domain_matches(".example.test", "example.test", false));
    EXPECT_FALSE(domain_matches("", "", true));
}

TEST(ParentDomain, CutsOneLabel)
{
    EXPECT_EQ(parent_domain("a.b.c"), ".b.c");
    EXPECT_EQ(parent_domain(".b.c"), ".c");
    EXPECT_EQ(parent_domain(".c"), "");
    EXPECT_EQ(parent_domain(""), "");
}

} // namespace
} // namespace bulkhead
