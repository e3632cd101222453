#include "endpoint.h"

#include <gmock/gmock.h>
#include <netinet/in.h>

#include <fmt/format.h>

namespace bulkhead
{

using testing::ElementsAre;
using testing::HasSubstr;

static std::vector<std::string> keys(std::string_view main_cf, std::string_view service)
{
    const std::string text = fmt::format("queue_directory = /spool\n{}\n", main_cf);
    const auto config = Config::from(*MainCf::parse(text, "main.cf"), "/x");
    const auto master = MasterCf::parse(service, "master.cf", CompatibilityLevel{3, 6, 0});
    const auto endpoints = plan_endpoints(master->services.at(0), *config);
    if (!endpoints)
        return {"error: " + endpoints.error().context};
    std::vector<std::string> result;
    for (const Endpoint& endpoint : *endpoints)
        result.push_back(endpoint.key);
    return result;
}

TEST(PlanEndpoints, OneForAHostAndPort)
{
    EXPECT_THAT(keys("inet_protocols = ipv4", "127.0.0.1:2525 inet n - n - - smtpd"),
                ElementsAre("inet 127.0.0.1:2525"));
}

TEST(PlanEndpoints, PortNamesAreResolved)
{
    EXPECT_THAT(keys("inet_protocols = ipv4", "127.0.0.1:smtp inet n - n - - smtpd"),
                ElementsAre("inet 127.0.0.1:25"));
}

TEST(PlanEndpoints, KnownPortsComeBeforeTheSystems)
{
    EXPECT_THAT(keys("inet_protocols = ipv4\nknown_tcp_ports = smtp=2525, odd = even = 2626",
                     "127.0.0.1:smtp inet n - n - - smtpd"),
                ElementsAre("inet 127.0.0.1:2525"));
    EXPECT_THAT(
        keys("inet_protocols = ipv4\nknown_tcp_ports = odd=even=2626", "127.0.0.1:even inet n - n - - smtpd"),
        ElementsAre("inet 127.0.0.1:2626"));
    EXPECT_THAT(keys("inet_protocols = ipv4", "127.0.0.1:submissions inet n - n - - smtpd"),
                ElementsAre("inet 127.0.0.1:465"));
}

TEST(Listener, AsksForTheWindowThatIsWanted)
{
    const auto config = Config::from(
        *MainCf::parse("queue_directory = /spool\ninet_protocols = ipv4\ntcp_windowsize = 20000\n",
                       "main.cf"),
        "/x");
    const auto master =
        MasterCf::parse("127.0.0.1:2525 inet n - n - - smtpd", "master.cf", CompatibilityLevel{3, 6, 0});
    auto endpoints = plan_endpoints(master->services.at(0), *config);
    ASSERT_TRUE(endpoints);
    reinterpret_cast<sockaddr_in&>(endpoints->at(0).address).sin_port = 0; // whichever is free
    const auto listener = Listener::open(endpoints->at(0), 0, 0);
    ASSERT_TRUE(listener);
    for (const int option : {SO_SNDBUF, SO_RCVBUF}) {
        int bytes = 0;
        socklen_t size = sizeof bytes;
        ASSERT_EQ(::getsockopt(listener->fd(), SOL_SOCKET, option, &bytes, &size), 0);
        EXPECT_EQ(bytes, 40000); // Linux doubles it, for its own records
    }
}

TEST(PlanEndpoints, AllMeansTheWildcardOfEachFamily)
{
    EXPECT_THAT(keys("inet_protocols = ipv4\ninet_interfaces = all", "2525 inet n - n - - smtpd"),
                ElementsAre("inet 0.0.0.0:2525"));
}

TEST(PlanEndpoints, EachAddressOfInetInterfacesOnce)
{
    EXPECT_THAT(keys("inet_protocols = ipv4\ninet_interfaces = 127.0.0.1, 127.0.0.2, loopback-only",
                     "2525 inet n - n - - smtpd"),
                ElementsAre("inet 127.0.0.1:2525", "inet 127.0.0.2:2525"));
}

TEST(PlanEndpoints, UnixSocketsLieInPrivateOrPublic)
{
    EXPECT_THAT(keys("", "bounce unix - - n - 0 bounce"), ElementsAre("unix /spool/private/bounce"));
    EXPECT_THAT(keys("", "cleanup unix n - n - 0 cleanup"), ElementsAre("unix /spool/public/cleanup"));
}

TEST(PlanEndpoints, ErrorsNameThePlace)
{
    EXPECT_THAT(keys("inet_protocols = ipv4", "127.0.0.1:nonsuch inet n - n - - smtpd").at(0),
                HasSubstr("master.cf: line 1: service 127.0.0.1:nonsuch:"));
    EXPECT_THAT(keys("inet_protocols = ipv9", "2525 inet n - n - - smtpd").at(0), HasSubstr("ipv9"));
    EXPECT_THAT(keys("inet_protocols = ipv4", "[::1]:2525 inet n - n - - smtpd").at(0),
                HasSubstr("inet_protocols"));
}

TEST(CompareEndpoints, TellsNewFromVanished)
{
    const EndpointChange change = compare_endpoints({"a", "b"}, {"b", "c"});
    EXPECT_THAT(change.opened, ElementsAre("c"));
    EXPECT_THAT(change.closed, ElementsAre("a"));
}

} // namespace bulkhead
