#include "config/service_ports.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace bulkhead;

namespace
{

TEST(ServicePorts, KnowsTheNamesOfTheParameter)
{
    ServicePorts ports;
    EXPECT_THAT(ports.add_known("smtp=25, smtps=submissions=465 { odd = 4711 }"), testing::IsEmpty());
    EXPECT_EQ(ports.find("smtp"), 25);
    EXPECT_EQ(ports.find("smtps"), 465);
    EXPECT_EQ(ports.find("submissions"), 465);
    EXPECT_EQ(ports.find("odd"), 4711);
    EXPECT_EQ(ports.find("submission"), std::nullopt);
}

struct Fault {
    const char* entry;
    const char* reason;
};
class ServicePortsComplain : public testing::TestWithParam<Fault>
{
};

TEST_P(ServicePortsComplain, AndDoWithoutTheEntry)
{
    ServicePorts ports;
    const std::string list = std::string("smtp=25, ") + GetParam().entry + ", last=26";
    EXPECT_THAT(ports.add_known(list),
                testing::ElementsAre("known_tcp_ports: in \"" + std::string(GetParam().entry) +
                                     "\": " + GetParam().reason));
    EXPECT_EQ(ports.find("smtp"), 25);
    EXPECT_EQ(ports.find("last"), 26);
}
INSTANTIATE_TEST_SUITE_P(Entries, ServicePortsComplain,
                         testing::Values(Fault{"lmtp", "not of the form \"name=port\""},
                                         Fault{"lmtp=x", "non-numerical service port"},
                                         Fault{"lmtp=", "missing port value after \"=\""},
                                         Fault{"=24", "missing service name before \"=\""},
                                         Fault{"24=lmtp", "numerical service name"},
                                         Fault{"lmtp=65536", "no such port"}, Fault{"lmtp=0", "no such port"},
                                         Fault{"smtp=26", "duplicate service name"}));

TEST(ServicePorts, ReadTheSystemsFileForOtherNames)
{
    ServicePorts ports;
    (void)ports.add_known("smtp=2525");
    ports.add_services("smtp 25/tcp mail\nodd 4711/udp\nmine\t2600/tcp  other # comment\nbroken 99999/tcp\n");
    EXPECT_EQ(ports.find("smtp"), 2525);
    EXPECT_EQ(ports.find("mail"), 25);
    EXPECT_EQ(ports.find("mine"), 2600);
    EXPECT_EQ(ports.find("other"), 2600);
    EXPECT_EQ(ports.find("odd"), std::nullopt);
    EXPECT_EQ(ports.find("broken"), std::nullopt);
}

TEST(ServicePorts, TakeNumbersAsTheyAre)
{
    const ServicePorts ports;
    EXPECT_EQ(ports.find("587"), 587);
    EXPECT_EQ(ports.find("0"), std::nullopt);
    EXPECT_EQ(ports.find("65536"), std::nullopt);
}

} // namespace
