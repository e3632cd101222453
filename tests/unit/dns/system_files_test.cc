#include "dns/system_files.h"

#include <gtest/gtest.h>

using namespace bulkhead;
using namespace bulkhead::dns;

namespace
{

TEST(ResolvConf, ReadsServersAndOptions)
{
    const ResolvConf conf =
        parse_resolv_conf("# comment\nsearch a.test\nnameserver 192.0.2.1 ; x\nnameserver fe80::1%eth0\n"
                          "nameserver nonsense\noptions timeout:1 attempts:3 rotate\n");
    ASSERT_EQ(conf.name_servers.size(), 2u);
    EXPECT_EQ(conf.name_servers[0].text(), "192.0.2.1");
    EXPECT_EQ(conf.name_servers[0].port(), 53);
    EXPECT_EQ(conf.name_servers[1].text(), "fe80::1");
    EXPECT_EQ(conf.timeout, Milliseconds(1000));
    EXPECT_EQ(conf.attempts, 3);
}

TEST(ResolvConf, MeansThisHostWhenItNamesNoServer)
{
    const ResolvConf conf = parse_resolv_conf("");
    ASSERT_EQ(conf.name_servers.size(), 1u);
    EXPECT_EQ(conf.name_servers[0].text(), "127.0.0.1");
}

TEST(HostsFile, FindsEveryAddressOfAName)
{
    const HostsFile hosts(
        "127.0.0.1 localhost\n192.0.2.7\tMail.Test mail # c\n2001:db8::7 mail.test\nbad line\n");
    const auto found = hosts.find("mail.TEST");
    ASSERT_EQ(found.size(), 2u);
    EXPECT_EQ(found[0].text(), "192.0.2.7");
    EXPECT_EQ(found[1].text(), "2001:db8::7");
    EXPECT_TRUE(hosts.find("line").empty());
}

TEST(HostsFile, AlwaysKnowsLocalhost)
{
    EXPECT_EQ(HostsFile().find("localhost").size(), 2u);
}

TEST(Nsswitch, SaysWhetherTheDnsIsAsked)
{
    EXPECT_TRUE(native_lookup_uses_dns(""));
    EXPECT_TRUE(native_lookup_uses_dns("passwd: files\nhosts: files dns\n"));
    EXPECT_FALSE(native_lookup_uses_dns("hosts: files # dns\n"));
}

} // namespace
