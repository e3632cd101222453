// The PROXY protocol of HAProxy, versions 1 and 2: what a load balancer says in front of a
// client's own words about where the client is.  Bytes to a value; who may say it is the
// server's business.
#pragma once

#include "base/result.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead
{

struct ProxyHeader {
    struct End {
        std::string address; // printable, IPv4-mapped IPv6 as IPv4
        std::uint16_t port = 0;
    };

    std::size_t size = 0; // bytes of the header
    bool told = false;    // false (UNKNOWN, LOCAL): the connection is the proxy's own
    bool v6 = false;
    End client;
    End server;
};

constexpr std::size_t proxy_header_limit = 2048; // bytes; version 2 may carry more, which we refuse

// bytes: what has arrived so far.  nullopt: it is no complete header yet.  Fault::malformed:
// it will never be one; the context says why.
Result<std::optional<ProxyHeader>> parse_proxy_header(std::string_view bytes);

// The header, of version 1 or 2, of a connection from one end to the other.  Both ends are IPv6,
// or both are not.
std::string proxy_header(int version, const ProxyHeader::End& client, const ProxyHeader::End& server);

// Bytes that are, or may become, the beginning of a header.
bool may_be_proxy_header(std::string_view bytes);

} // namespace bulkhead
