#include "config/master_cf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bulkhead
{
namespace
{

using testing::ElementsAre;

MasterCf parsed(std::string_view text)
{
    auto master = MasterCf::parse(text, "master.cf", {3, 6, 0});
    EXPECT_TRUE(master) << master.error().context;
    return master ? *std::move(master) : MasterCf{};
}

TEST(MasterCf, ReadsTheEightColumns)
{
    const auto master = parsed("tlsmgr unix n n y 1000? 1 tlsmgr\n");
    ASSERT_EQ(master.services.size(), 1u);
    const ServiceEntry& entry = master.services[0];
    EXPECT_EQ(entry.identity(), "tlsmgr/unix");
    EXPECT_FALSE(entry.is_private);
    EXPECT_FALSE(entry.unprivileged);
    EXPECT_TRUE(entry.chroot);
    EXPECT_EQ(entry.wakeup, Seconds(1000));
    EXPECT_TRUE(entry.wakeup_only_if_used);
    EXPECT_EQ(entry.process_limit, 1);
    EXPECT_EQ(entry.command, "tlsmgr");
    EXPECT_EQ(entry.place(), "master.cf: line 1");
}

TEST(MasterCf, DashesMeanDefaults)
{
    const auto master = parsed("x unix - - - - - x\n");
    const ServiceEntry& entry = master.services.at(0);
    EXPECT_TRUE(entry.is_private);
    EXPECT_TRUE(entry.unprivileged);
    EXPECT_FALSE(entry.chroot);
    EXPECT_EQ(entry.wakeup, Seconds(0));
    EXPECT_EQ(entry.process_limit, std::nullopt);
}

TEST(MasterCf, ChrootIsTheDefaultBelowLevelOne)
{
    const auto master = MasterCf::parse("x unix - - - - - x\n", "master.cf", {});
    ASSERT_TRUE(master);
    EXPECT_TRUE(master->services.at(0).chroot);
}

TEST(MasterCf, UnderstandsOptions)
{
    const auto master = parsed("smtp inet n - y - 0 smtpd -v -vv -D\n"
                               "  -o a=1\n# comment\n\n  -o { b = x y }\n  -oc=3 -o d=\n");
    const ServiceEntry& entry = master.services.at(0);
    EXPECT_THAT(entry.overrides, ElementsAre("a=1", "b=x y", "c=3", "d="));
    EXPECT_THAT(entry.arguments,
                ElementsAre("-v", "-vv", "-D", "-o", "a=1", "-o", "b=x y", "-o", "c=3", "-o", "d="));
    EXPECT_EQ(entry.verbosity, 3);
    EXPECT_TRUE(entry.debugger);
    EXPECT_TRUE(entry.plain_arguments.empty());
    EXPECT_EQ(entry.process_limit, 0);
}

TEST(MasterCf, KeepsPipeArguments)
{
    const auto master =
        parsed("mailman unix - n n - - pipe\n flags=FR user=list { argv=/bin/a b } -o ${nexthop}\n");
    EXPECT_THAT(master.services.at(0).arguments,
                ElementsAre("flags=FR", "user=list", "argv=/bin/a b", "-o", "${nexthop}"));
    EXPECT_TRUE(master.services.at(0).overrides.empty());
}

TEST(MasterCf, BracesInsideAWordKeepItWhole)
{
    const auto service =
        parsed("x unix - n n - - pipe user=u argv={/bin/a b} ${extension?{+ ${extension}}} c\n");
    EXPECT_THAT(service.services.front().arguments,
                ElementsAre("user=u", "argv={/bin/a b}", "${extension?{+ ${extension}}}", "c"));
}

TEST(MasterCf, LastDuplicateWinsWithWarning)
{
    const auto master =
        parsed("x unix - - - - 1 a\ny unix - - - - - y\nx unix - - - - 2 b\nx inet - - - - - b\n");
    ASSERT_EQ(master.services.size(), 3u);
    EXPECT_EQ(master.services[0].command, "b");
    EXPECT_THAT(master.warnings,
                ElementsAre("master.cf: line 3: duplicate service x/unix, replaces the one on line 1"));
}

struct Case {
    const char* name;
    std::string text;
    std::string reason;
};

class MasterCfRefuses : public testing::TestWithParam<Case>
{
};

TEST_P(MasterCfRefuses, Line)
{
    const auto master = MasterCf::parse("# first\n" + GetParam().text, "/etc/x/master.cf", {});
    ASSERT_FALSE(master);
    EXPECT_EQ(master.error().context, "/etc/x/master.cf: line 2: " + GetParam().reason);
}

INSTANTIATE_TEST_SUITE_P(
    MasterCf, MasterCfRefuses,
    testing::Values(
        Case{"Type", "x foo - - - - - x", "bad transport type: foo"},
        Case{"Short", "x unix - - -", "missing \"wakeup\" field"},
        Case{"Private", "x unix q - - - - x", "field \"private\": bad value: \"q\", want y, n or -"},
        Case{"Wakeup", "x unix - - - 5x - x", "field \"wakeup\": bad value: \"5x\", want a number or -"},
        Case{"Limit", "x unix - - - - -1 x",
             "field \"process_limit\": bad value: \"-1\", want a number or -"},
        Case{"Port", "1.2.3.4:99999 inet - - - - - x", "bad host:port in service name: \"1.2.3.4:99999\""},
        Case{"NameOutside", "../x unix - - - - - x", "bad service name: \"../x\""},
        Case{"OptionWithoutValue", "x unix - - - - - x -o", "-o without a parameter"},
        Case{"OptionWithoutEquals", "x unix - - - - - x -o a", "-o: missing '=' after attribute name: \"a\""},
        Case{"OpenBrace", "x unix - - - - - x -o { a=b", "no '}' that closes '{'"}),
    [](const auto& row) { return std::string(row.param.name); });

struct Endpoint {
    const char* name;
    std::string text;
    std::string host;
    std::string port; // empty: refused
};

class InetEndpoints : public testing::TestWithParam<Endpoint>
{
};

TEST_P(InetEndpoints, Parse)
{
    const auto endpoint = InetEndpoint::parse(GetParam().text);
    ASSERT_EQ(static_cast<bool>(endpoint), !GetParam().port.empty());
    if (endpoint) {
        EXPECT_EQ(endpoint->host, GetParam().host);
        EXPECT_EQ(endpoint->port, GetParam().port);
    }
}

INSTANTIATE_TEST_SUITE_P(
    MasterCf, InetEndpoints,
    testing::Values(Endpoint{"Name", "smtp", "", "smtp"}, Endpoint{"Port", "25", "", "25"},
                    Endpoint{"Ipv4", "127.0.0.1:2525", "127.0.0.1", "2525"},
                    Endpoint{"Host", "localhost:submission", "localhost", "submission"},
                    Endpoint{"Ipv6", "[::1]:25", "::1", "25"}, Endpoint{"BareIpv6", "::1:25", "", ""},
                    Endpoint{"NoPort", "[::1]", "", ""}, Endpoint{"EmptyPort", "a:", "", ""},
                    Endpoint{"EmptyBrackets", "[]:25", "", ""}, Endpoint{"Zero", "a:0", "", ""}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(MasterCf, LoadsDebiansFile)
{
    const auto master = MasterCf::read(TEST_DATA "/debian-master.cf", {});
    ASSERT_TRUE(master) << master.error().context;
    EXPECT_TRUE(master->warnings.empty());
    ASSERT_NE(master->find("smtp", ServiceType::inet), nullptr);
    EXPECT_THAT(master->find("relay", ServiceType::unix_stream)->overrides,
                ElementsAre("syslog_name=postfix/$service_name"));
    EXPECT_EQ(master->find("postlog", ServiceType::unix_dgram)->command, "postlogd");
    EXPECT_EQ(master->find("mailman", ServiceType::unix_stream)->plain_arguments.front(), "flags=FRX");
}

TEST(MasterCf, DisableListNamesTypesAndServices)
{
    const auto master = parsed("smtp inet n - - - - smtpd\nsmtp unix - - - - - smtp\n");
    EXPECT_TRUE(is_disabled(master.services[0], {"inet"}));
    EXPECT_FALSE(is_disabled(master.services[1], {"inet"}));
    EXPECT_TRUE(is_disabled(master.services[1], {"x/unix", "smtp/unix"}));
}

} // namespace
} // namespace bulkhead
