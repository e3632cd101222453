#include "own_addresses.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <memory>

namespace bulkhead
{

namespace
{

void add(std::vector<std::string>& found, const sockaddr* address)
{
    if (address == nullptr || (address->sa_family != AF_INET && address->sa_family != AF_INET6))
        return;
    char text[INET6_ADDRSTRLEN] = "";
    const void* const bytes =
        address->sa_family == AF_INET
            ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in*>(address)->sin_addr)
            : &reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr;
    if (::inet_ntop(address->sa_family, bytes, text, sizeof text) != nullptr &&
        std::ranges::find(found, text) == found.end())
        found.emplace_back(text);
}

void add_interfaces(std::vector<std::string>& found, bool loopback_only)
{
    ifaddrs* list = nullptr;
    if (::getifaddrs(&list) != 0)
        return;
    const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owner(list, ::freeifaddrs);
    for (const ifaddrs* at = list; at != nullptr; at = at->ifa_next)
        if (!loopback_only || (at->ifa_flags & IFF_LOOPBACK) != 0)
            add(found, at->ifa_addr);
}

void add_host(std::vector<std::string>& found, std::string name)
{
    if (name.size() > 1 && name.front() == '[' && name.back() == ']')
        name = name.substr(1, name.size() - 2);
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* list = nullptr;
    if (::getaddrinfo(name.c_str(), nullptr, &hints, &list) != 0)
        return;
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(list, ::freeaddrinfo);
    for (const addrinfo* at = list; at != nullptr; at = at->ai_next)
        add(found, at->ai_addr);
}

} // namespace

std::vector<std::string> own_addresses(const std::vector<std::string>& inet_interfaces)
{
    std::vector<std::string> found;
    for (const std::string& name : inet_interfaces) {
        if (name == "all" || name == "loopback-only")
            add_interfaces(found, name == "loopback-only");
        else
            add_host(found, name);
    }
    return found;
}

} // namespace bulkhead
