// The next hop of a delivery as administrators write it: domain, [host], with
// :port or :service behind.  Pure parsing; services by name come from a table
// that was read before the jail.
#pragma once

#include "async/address.h"
#include "base/result.h"
#include "config/service_ports.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

struct Nexthop {
    std::string name;                     // without brackets
    std::optional<SocketAddress> address; // when the name is one; with the port
    std::uint16_t port = 0;
    std::string service;     // the port as it was written, or the default
    std::string socket_path; // unix:path; all else is empty then
    bool is_domain = false;  // no brackets, no address: may have SRV records
    bool wants_mx = false;   // and MX records

    bool operator==(const Nexthop&) const = default;
};

// LMTP's "unix:path", and "inet:" in front of all that parse_nexthop() takes; never a domain with
// mail exchangers.  Same errors.
Result<Nexthop> parse_lmtp_nexthop(std::string_view text, const ServicePorts& services,
                                   std::string_view default_port);

// One next hop.  Fault::malformed: bad brackets, no name, unknown service; the text
// repeats the next hop.
Result<Nexthop> parse_nexthop(std::string_view text, const ServicePorts& services,
                              std::string_view default_port);

// "a.test, [b.test]:587" and "inet:c.test:25" -> one text each, to be tried in turn.
std::vector<std::string> split_nexthops(std::string_view text);

} // namespace bulkhead
