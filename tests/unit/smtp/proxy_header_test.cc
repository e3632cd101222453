#include "smtp/proxy_header.h"

#include <gtest/gtest.h>

#include <string>

namespace bulkhead
{
namespace
{

TEST(ProxyHeader, EveryCutOfAGoodHeaderWaitsForMore)
{
    using namespace std::string_literals;
    const std::string line = "PROXY TCP4 192.0.2.1 192.0.2.2 1234 25\r\n";
    const std::string binary =
        "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\x04\xd2\0\x19"s;
    for (const std::string& header : {line, binary}) {
        for (std::size_t n = 1; n < header.size(); ++n) {
            const auto parsed = parse_proxy_header(std::string_view(header).substr(0, n));
            ASSERT_TRUE(parsed) << n << parsed.error().context;
            EXPECT_FALSE(*parsed) << n;
        }
        const auto parsed = parse_proxy_header(header + "EHLO x\r\n");
        ASSERT_TRUE(parsed && *parsed);
        EXPECT_EQ((*parsed)->size, header.size());
        EXPECT_EQ((*parsed)->client.address, "192.0.2.1");
        EXPECT_EQ((*parsed)->client.port, 1234);
        EXPECT_EQ((*parsed)->server.address, "192.0.2.2");
        EXPECT_EQ((*parsed)->server.port, 25);
    }
}

TEST(ProxyHeader, WhatWeSayIsWhatWeRead)
{
    const ProxyHeader::End v4[] = {{"192.0.2.1", 1234}, {"192.0.2.2", 25}};
    const ProxyHeader::End v6[] = {{"2001:db8::1", 65535}, {"2001:db8::2", 256}};
    EXPECT_EQ(proxy_header(1, v4[0], v4[1]), "PROXY TCP4 192.0.2.1 192.0.2.2 1234 25\r\n");
    for (const int version : {1, 2})
        for (const auto& [client, server] : {std::pair(v4[0], v4[1]), std::pair(v6[0], v6[1])}) {
            const std::string header = proxy_header(version, client, server);
            const auto parsed = parse_proxy_header(header);
            ASSERT_TRUE(parsed && *parsed) << version;
            EXPECT_EQ((*parsed)->size, header.size());
            EXPECT_TRUE((*parsed)->told);
            EXPECT_EQ((*parsed)->client.address, client.address);
            EXPECT_EQ((*parsed)->client.port, client.port);
            EXPECT_EQ((*parsed)->server.address, server.address);
            EXPECT_EQ((*parsed)->server.port, server.port);
        }
}

TEST(ProxyHeader, MappedAddressesAreIPv4)
{
    const auto parsed = parse_proxy_header("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 2\r\n");
    ASSERT_TRUE(parsed && *parsed);
    EXPECT_EQ((*parsed)->client.address, "192.0.2.1");
    EXPECT_FALSE((*parsed)->v6);
}

} // namespace
} // namespace bulkhead
