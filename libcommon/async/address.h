// An IP address and a port as the socket calls want them: a value, parsed from
// and printed as mail people write it.  Knows no names and asks no resolver.
#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace bulkhead
{

class SocketAddress
{
public:
    // "192.0.2.1" or "2001:db8::1", without brackets; nullopt for everything else.
    static std::optional<SocketAddress> parse(std::string_view text, std::uint16_t port = 0);

    // 4 or 16 bytes in network order, as DNS has them; nullopt for other sizes.
    static std::optional<SocketAddress> from_bytes(std::span<const std::uint8_t> bytes,
                                                   std::uint16_t port = 0);

    // From the socket calls; nullopt for families other than IPv4 and IPv6.
    static std::optional<SocketAddress> from_socket(const sockaddr* address);

    bool is_v6() const { return storage_.family.sin_family == AF_INET6; }
    int family() const { return storage_.family.sin_family; }
    bool is_loopback() const;
    std::uint16_t port() const;
    SocketAddress with_port(std::uint16_t port) const;

    // The address alone, as log lines have it: 127.0.0.1, 2001:db8::1.
    std::string text() const;

    bool same_host(const SocketAddress& other) const;
    bool operator==(const SocketAddress& other) const { return same_host(other) && port() == other.port(); }

    const sockaddr* data() const { return reinterpret_cast<const sockaddr*>(&storage_); }
    socklen_t size() const { return is_v6() ? sizeof storage_.v6 : sizeof storage_.family; }

private:
    SocketAddress() = default;

    union Storage {
        sockaddr_in6 v6;
        sockaddr_in family; // the family stands at the same place in both
        Storage() : v6{} {}
    } storage_;
};

} // namespace bulkhead
