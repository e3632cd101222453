#include "config/machine.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

namespace bulkhead
{

std::string system_host_name()
{
    char name[HOST_NAME_MAX + 1] = {};
    if (::gethostname(name, sizeof name - 1) != 0 || name[0] == '\0')
        return "localhost";
    return name;
}

// Prefix length of the network class that the first byte tells.
static int class_prefix(unsigned char first)
{
    return first < 128 ? 8 : first < 192 ? 16 : first < 224 ? 24 : 32;
}

static int prefix_of(std::span<const unsigned char> mask)
{
    int bits = 0;
    for (const unsigned char byte : mask)
        bits += __builtin_popcount(byte);
    return bits;
}

static std::string network_text(int family, std::span<unsigned char> address, int prefix)
{
    for (std::size_t i = 0; i < address.size(); ++i) {
        const int kept = std::clamp(prefix - static_cast<int>(i) * 8, 0, 8);
        address[i] &= static_cast<unsigned char>(0xff00 >> kept);
    }
    char text[INET6_ADDRSTRLEN] = {};
    ::inet_ntop(family, address.data(), text, sizeof text);
    return family == AF_INET6 ? fmt::format("[{}]/{}", text, prefix) : fmt::format("{}/{}", text, prefix);
}

std::string interface_networks(std::string_view style, bool ipv4, bool ipv6)
{
    ifaddrs* list = nullptr;
    if (::getifaddrs(&list) != 0)
        return {};
    const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(list, &::freeifaddrs);

    std::vector<std::string> networks;
    for (const ifaddrs* item = list; item != nullptr; item = item->ifa_next) {
        if (item->ifa_addr == nullptr || item->ifa_netmask == nullptr || (item->ifa_flags & IFF_UP) == 0)
            continue;
        std::string network;
        if (item->ifa_addr->sa_family == AF_INET && ipv4) {
            unsigned char address[4];
            unsigned char mask[4];
            std::memcpy(address, &reinterpret_cast<const sockaddr_in*>(item->ifa_addr)->sin_addr,
                        sizeof address);
            std::memcpy(mask, &reinterpret_cast<const sockaddr_in*>(item->ifa_netmask)->sin_addr,
                        sizeof mask);
            const int prefix = style == "host"    ? 32
                               : style == "class" ? class_prefix(address[0])
                                                  : prefix_of(mask);
            network = network_text(AF_INET, address, prefix);
        } else if (item->ifa_addr->sa_family == AF_INET6 && ipv6) {
            unsigned char address[16];
            unsigned char mask[16];
            std::memcpy(address, &reinterpret_cast<const sockaddr_in6*>(item->ifa_addr)->sin6_addr,
                        sizeof address);
            std::memcpy(mask, &reinterpret_cast<const sockaddr_in6*>(item->ifa_netmask)->sin6_addr,
                        sizeof mask);
            network = network_text(AF_INET6, address, style == "host" ? 128 : prefix_of(mask));
        }
        if (!network.empty() && std::ranges::find(networks, network) == networks.end())
            networks.push_back(std::move(network));
    }
    return fmt::format("{}", fmt::join(networks, " "));
}

} // namespace bulkhead
