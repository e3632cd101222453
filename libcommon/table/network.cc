#include "table/network.h"

#include "base/text.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <string>

namespace bulkhead
{

static std::string_view without_brackets(std::string_view text)
{
    if (text.size() >= 2 && text.front() == '[' && text.back() == ']')
        return text.substr(1, text.size() - 2);
    return text;
}

std::optional<IpAddress> IpAddress::parse(std::string_view text)
{
    text = without_brackets(text);
    if (text.size() >= INET6_ADDRSTRLEN)
        return std::nullopt;
    const std::string terminated(text);
    IpAddress address;
    if (::inet_pton(AF_INET, terminated.c_str(), address.bytes.data()) == 1) {
        address.size = 4;
        return address;
    }
    if (::inet_pton(AF_INET6, terminated.c_str(), address.bytes.data()) != 1)
        return std::nullopt;
    address.size = 16;
    constexpr std::array<std::uint8_t, 12> mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (std::equal(mapped.begin(), mapped.end(), address.bytes.begin())) {
        std::copy_n(address.bytes.begin() + mapped.size(), 4, address.bytes.begin());
        std::fill(address.bytes.begin() + 4, address.bytes.end(), std::uint8_t{0});
        address.size = 4;
    }
    return address;
}

// The bits of byte `index` that a prefix keeps.
static std::uint8_t mask_byte(int prefix, std::size_t index)
{
    const int kept = std::clamp(prefix - static_cast<int>(index) * 8, 0, 8);
    return static_cast<std::uint8_t>(0xff00 >> kept);
}

static std::string network_text(const IpNetwork& network)
{
    char text[INET6_ADDRSTRLEN] = {};
    ::inet_ntop(network.address.size == 4 ? AF_INET : AF_INET6, network.address.bytes.data(), text,
                sizeof text);
    return fmt::format("{}/{}", text, network.prefix);
}

Result<IpNetwork> IpNetwork::parse(std::string_view text)
{
    // "[v6]/n", "[v6/n]" and "v6/n" are all in use.
    const auto slash = text.rfind('/');
    std::string_view host = text.substr(0, slash);
    std::string_view bits = slash == text.npos ? std::string_view{} : text.substr(slash + 1);
    if (host.starts_with('[') && bits.ends_with(']')) {
        host.remove_prefix(1);
        bits.remove_suffix(1);
    }
    const auto address = IpAddress::parse(host);
    if (!address)
        return Error{Fault::config, fmt::format("bad network address \"{}\"", printable(text))};
    IpNetwork network{*address, address->size * 8};
    if (slash == text.npos)
        return network;
    // "[::ffff:127.0.0.0]/104" counts the bits of the IPv6 form.
    const std::uint64_t mapped_bits = address->size == 4 && host.find(':') != host.npos ? 96 : 0;
    const auto prefix = parse_unsigned(bits);
    if (!prefix || *prefix < mapped_bits ||
        *prefix - mapped_bits > static_cast<std::uint64_t>(network.prefix))
        return Error{Fault::config, fmt::format("bad network prefix length in \"{}\"", printable(text))};
    network.prefix = static_cast<int>(*prefix - mapped_bits);
    for (std::size_t i = 0; i < network.address.size; ++i)
        network.address.bytes[i] &= mask_byte(network.prefix, i);
    if (network.address != *address)
        return Error{Fault::config,
                     fmt::format("non-null host address bits in \"{}\", perhaps \"{}\" is meant",
                                 printable(text), network_text(network))};
    return network;
}

bool IpNetwork::contains(const IpAddress& candidate) const
{
    if (candidate.size != address.size)
        return false;
    for (std::size_t i = 0; i < address.size; ++i)
        if ((candidate.bytes[i] & mask_byte(prefix, i)) != address.bytes[i])
            return false;
    return true;
}

} // namespace bulkhead
