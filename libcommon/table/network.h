// IP networks as they are written in mynetworks and cidr tables: 192.0.2.0/24,
// [2001:db8::]/32, bare addresses.  Pure parsing and comparing.
#pragma once

#include "base/result.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace bulkhead
{

struct IpAddress {
    std::array<std::uint8_t, 16> bytes{};
    std::uint8_t size = 0; // 4 or 16

    // "192.0.2.1", "2001:db8::1", with or without brackets; IPv4-mapped IPv6 becomes IPv4.
    static std::optional<IpAddress> parse(std::string_view text);
    bool operator==(const IpAddress&) const = default;
};

struct IpNetwork {
    IpAddress address;
    int prefix = 0;

    // Refuses host bits beyond the prefix, as the manual promises.
    static Result<IpNetwork> parse(std::string_view text);
    bool contains(const IpAddress& candidate) const;
};

} // namespace bulkhead
