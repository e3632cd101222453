#include "support.h"

#include "dns/packet.h"

#include <gtest/gtest.h>

using namespace bulkhead;
using namespace bulkhead::test;

namespace
{

const std::string owner("\xc0\x0c", 2); // points to the name of the question

std::string number32(std::uint32_t n)
{
    return number16(n >> 16) + number16(n & 0xffff);
}

std::string timed_record(unsigned type, std::uint32_t time, const std::string& data)
{
    return owner + number16(type) + number16(1) + number32(time) +
           number16(static_cast<unsigned>(data.size())) + data;
}

// An answer without records, and what the zone says of itself.
std::string negative_answer(std::uint32_t time, std::uint32_t absent)
{
    std::string packet = wire_answer("x.bl.test", 1, {});
    packet[9] = 1; // records in the authority section
    const std::string soa = wire_name("ns.test") + wire_name("admin.test") + std::string(16, '\1');
    return packet + timed_record(6, time, soa + number32(absent));
}

TEST(TimeToLive, IsTheShortestOfTheRecords)
{
    const std::string address("\x7f\0\0\2", 4);
    EXPECT_EQ(dns::time_to_live(wire_answer("x.test", 1, {timed_record(1, 100'000, address)})), 100'000u);
    EXPECT_EQ(
        dns::time_to_live(wire_answer("x.test", 1,
                                      {timed_record(1, 900, address), timed_record(5, 300, "\1y" + owner),
                                       timed_record(1, 600, address)})),
        300u);
}

TEST(TimeToLive, OfNothingIsWhatTheZoneSays)
{
    EXPECT_EQ(dns::time_to_live(negative_answer(3600, 150)), 150u);
    EXPECT_EQ(dns::time_to_live(negative_answer(60, 150)), 60u);
    EXPECT_EQ(dns::time_to_live(wire_answer("x.test", 1, {})), 0u);
}

TEST(TimeToLive, OfPacketsThatAreCutIsUnknown)
{
    const std::string packet = negative_answer(3600, 150);
    for (std::size_t size = 0; size < packet.size(); ++size)
        EXPECT_EQ(dns::time_to_live(std::string_view(packet).substr(0, size)), 0u) << size;
}

} // namespace
