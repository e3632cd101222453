#include "nexthop.h"

#include "base/text.h"
#include "mail/address.h"

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr std::size_t socket_path_limit = 107; // of the kernel

Error bad(std::string_view text, std::string_view reason)
{
    return {Fault::malformed, fmt::format("bad next hop \"{}\": {}", printable(text), reason)};
}

} // namespace

Result<Nexthop> parse_nexthop(std::string_view text, const ServicePorts& services,
                              std::string_view default_port)
{
    std::string_view name = text;
    std::string_view service = default_port;
    const bool bracketed = text.starts_with('[');
    if (bracketed) {
        const auto end = text.find(']');
        if (end == std::string_view::npos)
            return bad(text, "no ]");
        name = text.substr(1, end - 1);
        const std::string_view rest = text.substr(end + 1);
        if (!rest.empty() && !rest.starts_with(':'))
            return bad(text, "text behind ]");
        if (!rest.empty())
            service = rest.substr(1);
    } else if (const auto colon = text.find(':');
               colon != std::string_view::npos && colon == text.rfind(':')) {
        name = text.substr(0, colon);
        service = text.substr(colon + 1);
    }

    const auto port = services.find(service);
    if (!port)
        return bad(text, "unknown service or port");
    Nexthop nexthop;
    if (starts_with_ignoring_case(name, "ipv6:"))
        name.remove_prefix(5);
    nexthop.name = name;
    nexthop.port = *port;
    nexthop.service = service;
    nexthop.address = SocketAddress::parse(name, *port);
    nexthop.is_domain = nexthop.wants_mx = !bracketed && !nexthop.address;
    if (!nexthop.address && nexthop.name.ends_with('.'))
        nexthop.name.pop_back();
    if (!nexthop.address && !is_valid_domain(nexthop.name))
        return bad(text, "no valid host or domain name");
    return nexthop;
}

Result<Nexthop> parse_lmtp_nexthop(std::string_view text, const ServicePorts& services,
                                   std::string_view default_port)
{
    if (!starts_with_ignoring_case(text, "unix:")) {
        TRY(Nexthop nexthop, parse_nexthop(text, services, default_port));
        nexthop.wants_mx = false;
        return nexthop;
    }
    Nexthop nexthop;
    nexthop.socket_path = text.substr(5);
    if (nexthop.socket_path.empty() || nexthop.socket_path.size() > socket_path_limit)
        return bad(text, "no path of a socket");
    return nexthop;
}

std::vector<std::string> split_nexthops(std::string_view text)
{
    std::vector<std::string> nexthops;
    for (std::string_view part : split(text, ", \t\r\n")) {
        if (starts_with_ignoring_case(part, "inet:"))
            part.remove_prefix(5);
        if (!part.empty())
            nexthops.emplace_back(part);
    }
    return nexthops;
}

} // namespace bulkhead
