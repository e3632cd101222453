#include "support.h"

#include "dns/packet.h"

#include <gtest/gtest.h>

using namespace bulkhead;
using namespace bulkhead::test;
using dns::MxRecord;

namespace
{

const std::string owner("\xc0\x0c", 2); // points to the name of the question

TEST(DnsPacket, ReadsMailExchangers)
{
    const auto packet = wire_answer("d.test", 15,
                                    {wire_record(owner, 15, mx_data(20, "b.d.test")),
                                     wire_record(owner, 15, number16(10) + "\1a" + owner)});
    const auto records = dns::parse_mx(packet);
    ASSERT_TRUE(records);
    EXPECT_EQ(*records, (std::vector{MxRecord(20, "b.d.test"), MxRecord(10, "a.d.test")}));
}

TEST(DnsPacket, PassesOverAliases)
{
    const auto packet = wire_answer(
        "w.test", 1,
        {wire_record(owner, 5, wire_name("h.test")), wire_record(wire_name("h.test"), 1, "\x7f\0\0\1")});
    EXPECT_FALSE(dns::parse_addresses(packet, dns::Type::a))
        << "a literal with NUL is cut: four bytes are wanted";
    const auto whole = wire_answer("w.test", 1,
                                   {wire_record(owner, 5, wire_name("h.test")),
                                    wire_record(wire_name("h.test"), 1, std::string("\x7f\0\0\1", 4))});
    const auto records = dns::parse_addresses(whole, dns::Type::a);
    ASSERT_TRUE(records);
    ASSERT_EQ(records->size(), 1u);
    EXPECT_EQ(records->front().text(), "127.0.0.1");
}

TEST(DnsPacket, SaysWhoseAddressesTheyAre)
{
    const std::string address("\x7f\0\0\1", 4);
    const auto direct = wire_answer("w.test", 1, {wire_record(owner, 1, address)});
    EXPECT_EQ(dns::owner_of(direct, dns::Type::a), "w.test");
    const auto behind = wire_answer(
        "w.test", 1,
        {wire_record(owner, 5, wire_name("h.test")), wire_record(wire_name("h.test"), 1, address)});
    EXPECT_EQ(dns::owner_of(behind, dns::Type::a), "h.test");
    EXPECT_EQ(dns::owner_of(behind, dns::Type::aaaa), "");
    EXPECT_EQ(dns::owner_of(behind.substr(0, behind.size() - 5), dns::Type::a), "");
}

TEST(DnsPacket, ReadsServersOfServices)
{
    const std::string data = number16(10) + number16(5) + number16(587) + wire_name("s.d.test");
    const auto packet = wire_answer("_submission._tcp.d.test", 33, {wire_record(owner, 33, data)});
    const auto records = dns::parse_srv(packet);
    ASSERT_TRUE(records);
    EXPECT_EQ(*records, std::vector{dns::SrvRecord(10, 5, 587, "s.d.test")});
    EXPECT_FALSE(dns::parse_srv(packet.substr(0, packet.size() - 12)));
}

TEST(DnsPacket, KnowsTheNullMailExchanger)
{
    const auto records = dns::parse_mx(wire_answer("d.test", 15, {wire_record(owner, 15, mx_data(0, ""))}));
    ASSERT_TRUE(records);
    EXPECT_EQ(*records, std::vector{MxRecord(0, "")});
}

TEST(DnsPacket, ReadsWhatServersAreExpectedToShow)
{
    const std::string digest(32, '\7');
    const auto records = dns::parse_tlsa(
        wire_answer("_25._tcp.d.test", 52, {wire_record(owner, 52, std::string("\3\1\1", 3) + digest)}));
    ASSERT_TRUE(records);
    EXPECT_EQ(*records, std::vector{dns::TlsaRecord(3, 1, 1, digest)});
    EXPECT_FALSE(dns::parse_tlsa(wire_answer("d.test", 52, {wire_record(owner, 52, "\3\1")})));
}

TEST(DnsPacket, ReadsNamesAndTexts)
{
    const auto names = dns::parse_hosts(
        wire_answer("1.in-addr.arpa", 12, {wire_record(owner, 12, wire_name("h.test"))}), dns::Type::ptr);
    ASSERT_TRUE(names);
    EXPECT_EQ(*names, std::vector{dns::HostRecord("h.test")});
    const auto texts = dns::parse_txt(wire_answer("t.test", 16, {wire_record(owner, 16, "\3abc\2de")}));
    ASSERT_TRUE(texts);
    EXPECT_EQ(*texts, std::vector{dns::TextRecord("abcde")});
    EXPECT_FALSE(dns::parse_txt(wire_answer("t.test", 16, {wire_record(owner, 16, "\7abc")})));
}

TEST(DnsPacket, LeavesOutHostsThatAreNoNames)
{
    const auto records = dns::parse_mx(wire_answer(
        "d.test", 15,
        {wire_record(owner, 15, mx_data(1, "a\r\nb.test")), wire_record(owner, 15, mx_data(2, "ok.test"))}));
    ASSERT_TRUE(records);
    EXPECT_EQ(*records, std::vector{MxRecord(2, "ok.test")});
}

TEST(DnsPacket, KeepsABoundedNumberOfRecords)
{
    const std::vector<std::string> many(500, wire_record(owner, 1, std::string(4, '\1')));
    const auto records = dns::parse_addresses(wire_answer("d.test", 1, many), dns::Type::a);
    ASSERT_TRUE(records);
    EXPECT_EQ(records->size(), dns::record_limit);
}

struct BadPacket {
    const char* name;
    std::string bytes;
};
class DnsPacketRefuses : public testing::TestWithParam<BadPacket>
{
};
TEST_P(DnsPacketRefuses, BadBytes)
{
    const auto records = dns::parse_mx(GetParam().bytes);
    ASSERT_FALSE(records);
    EXPECT_EQ(records.error().fault, Fault::malformed);
}
const std::string good = wire_answer("d.test", 15, {wire_record(owner, 15, mx_data(20, "b.d.test"))});
INSTANTIATE_TEST_SUITE_P(
    Packets, DnsPacketRefuses,
    testing::Values(BadPacket{"Empty", ""}, BadPacket{"CutHeader", good.substr(0, 9)},
                    BadPacket{"CutData", good.substr(0, good.size() - 3)},
                    BadPacket{"CutQuestion", good.substr(0, 15)},
                    BadPacket{"NamePointsToItself",
                              wire_answer("d.test", 15, {wire_record(std::string("\xc0\x18", 2), 15, "")})},
                    BadPacket{"LabelTooLong", wire_answer("d.test", 15, {wire_record("\x7f", 15, "")})}),
    [](const auto& row) { return std::string(row.param.name); });

} // namespace
