#include "table/local_domains.h"

#include "base/text.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <memory>

namespace bulkhead
{

namespace
{

std::optional<IpAddress> from_socket_address(const sockaddr* address)
{
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (address == nullptr)
        return std::nullopt;
    const void* bytes = nullptr;
    if (address->sa_family == AF_INET)
        bytes = &reinterpret_cast<const sockaddr_in*>(address)->sin_addr;
    else if (address->sa_family == AF_INET6)
        bytes = &reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr;
    if (bytes == nullptr || ::inet_ntop(address->sa_family, bytes, text.data(), text.size()) == nullptr)
        return std::nullopt;
    return IpAddress::parse(text.data());
}

void add_interfaces(bool loopback_only, std::vector<IpAddress>& out)
{
    ifaddrs* first = nullptr;
    if (::getifaddrs(&first) != 0)
        return;
    const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> guard(first, ::freeifaddrs);
    for (const ifaddrs* one = first; one != nullptr; one = one->ifa_next) {
        const bool loopback = (one->ifa_flags & IFF_LOOPBACK) != 0;
        if (const auto address = from_socket_address(one->ifa_addr); address && (loopback || !loopback_only))
            out.push_back(*address);
    }
}

Result<> add_named(const std::string& name, std::vector<IpAddress>& out)
{
    if (const auto address = IpAddress::parse(name)) {
        out.push_back(*address);
        return {};
    }
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* first = nullptr;
    if (const int fault = ::getaddrinfo(name.c_str(), nullptr, &hints, &first); fault != 0)
        return Error{Fault::config, fmt::format("{}: {}", name, ::gai_strerror(fault))};
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> guard(first, ::freeaddrinfo);
    for (const addrinfo* one = first; one != nullptr; one = one->ai_next)
        if (const auto address = from_socket_address(one->ai_addr))
            out.push_back(*address);
    return {};
}

} // namespace

Result<LocalDomains> LocalDomains::open(const Settings& settings)
{
    LocalDomains domains;
    ListOptions options;
    options.parameter = "mydestination";
    TRY(domains.names_, MatchList::open(settings.mydestination, options));
    for (const std::string& name : settings.inet_interfaces) {
        if (name == "all" || name == "loopback-only")
            add_interfaces(name == "loopback-only", domains.addresses_);
        else if (const auto added = add_named(name, domains.addresses_); !added)
            return Error{Fault::config, "inet_interfaces: " + added.error().context};
    }
    for (const std::string& name : settings.proxy_interfaces)
        if (const auto added = add_named(name, domains.addresses_); !added)
            return Error{Fault::config, "proxy_interfaces: " + added.error().context};
    return domains;
}

ListMatch LocalDomains::contains(std::string_view domain) const
{
    ListMatch named = names_.match(domain);
    if (named || named.is_broken() || !domain.starts_with('[') || !domain.ends_with(']'))
        return named;
    std::string_view inside = domain.substr(1, domain.size() - 2);
    if (starts_with_ignoring_case(inside, "IPv6:"))
        inside.remove_prefix(5);
    const auto address = IpAddress::parse(inside);
    const bool own = address && std::ranges::find(addresses_, *address) != addresses_.end();
    return {own ? Membership::yes : Membership::no, {}};
}

} // namespace bulkhead
