#include "async/address.h"

#include <arpa/inet.h>

#include <cstring>

namespace bulkhead
{

std::optional<SocketAddress> SocketAddress::parse(std::string_view text, std::uint16_t port)
{
    char terminated[INET6_ADDRSTRLEN + 1];
    if (text.empty() || text.size() >= sizeof terminated || text.find('\0') != std::string_view::npos)
        return std::nullopt;
    terminated[text.copy(terminated, sizeof terminated - 1)] = '\0';

    std::uint8_t bytes[16];
    if (::inet_pton(AF_INET, terminated, bytes) == 1)
        return from_bytes({bytes, 4}, port);
    if (::inet_pton(AF_INET6, terminated, bytes) == 1)
        return from_bytes({bytes, 16}, port);
    return std::nullopt;
}

std::optional<SocketAddress> SocketAddress::from_bytes(std::span<const std::uint8_t> bytes,
                                                       std::uint16_t port)
{
    SocketAddress address;
    if (bytes.size() == 4) {
        address.storage_.family = sockaddr_in{};
        address.storage_.family.sin_family = AF_INET;
        address.storage_.family.sin_port = htons(port);
        std::memcpy(&address.storage_.family.sin_addr, bytes.data(), 4);
        return address;
    }
    if (bytes.size() == 16) {
        address.storage_.v6.sin6_family = AF_INET6;
        address.storage_.v6.sin6_port = htons(port);
        std::memcpy(&address.storage_.v6.sin6_addr, bytes.data(), 16);
        return address;
    }
    return std::nullopt;
}

std::optional<SocketAddress> SocketAddress::from_socket(const sockaddr* address)
{
    SocketAddress result;
    if (address->sa_family == AF_INET)
        std::memcpy(&result.storage_.family, address, sizeof(sockaddr_in));
    else if (address->sa_family == AF_INET6)
        std::memcpy(&result.storage_.v6, address, sizeof(sockaddr_in6));
    else
        return std::nullopt;
    return result;
}

bool SocketAddress::is_loopback() const
{
    return is_v6() ? IN6_IS_ADDR_LOOPBACK(&storage_.v6.sin6_addr)
                   : (ntohl(storage_.family.sin_addr.s_addr) >> 24) == 127;
}

std::uint16_t SocketAddress::port() const
{
    return ntohs(is_v6() ? storage_.v6.sin6_port : storage_.family.sin_port);
}

SocketAddress SocketAddress::with_port(std::uint16_t port) const
{
    SocketAddress changed = *this;
    if (is_v6())
        changed.storage_.v6.sin6_port = htons(port);
    else
        changed.storage_.family.sin_port = htons(port);
    return changed;
}

std::string SocketAddress::text() const
{
    char buffer[INET6_ADDRSTRLEN];
    const void* const bytes =
        is_v6() ? static_cast<const void*>(&storage_.v6.sin6_addr) : &storage_.family.sin_addr;
    return ::inet_ntop(family(), bytes, buffer, sizeof buffer);
}

bool SocketAddress::same_host(const SocketAddress& other) const
{
    if (family() != other.family())
        return false;
    return is_v6() ? std::memcmp(&storage_.v6.sin6_addr, &other.storage_.v6.sin6_addr, 16) == 0
                   : storage_.family.sin_addr.s_addr == other.storage_.family.sin_addr.s_addr;
}

} // namespace bulkhead
