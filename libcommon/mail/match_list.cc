#include "mail/match_list.h"

#include "base/text.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

namespace bulkhead
{

std::optional<IpAddress> IpAddress::parse(std::string_view text)
{
    if (text.size() >= 2 && text.front() == '[' && text.back() == ']')
        text = text.substr(1, text.size() - 2);
    if (starts_with_ignoring_case(text, "IPv6:"))
        text.remove_prefix(5);
    if (text.size() >= INET6_ADDRSTRLEN || text.find('\0') != std::string_view::npos)
        return std::nullopt;
    const std::string number(text);
    IpAddress address;
    if (::inet_pton(AF_INET, number.c_str(), address.bytes_.data()) == 1)
        return address;
    if (::inet_pton(AF_INET6, number.c_str(), address.bytes_.data()) != 1)
        return std::nullopt;
    constexpr std::array<std::uint8_t, 12> mapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    address.v6_ = !std::equal(mapped.begin(), mapped.end(), address.bytes_.begin());
    if (!address.v6_) {
        std::copy_n(address.bytes_.begin() + 12, 4, address.bytes_.begin());
        std::fill(address.bytes_.begin() + 4, address.bytes_.end(), std::uint8_t{0});
    }
    return address;
}

std::string IpAddress::text() const
{
    std::array<char, INET6_ADDRSTRLEN> out{};
    ::inet_ntop(v6_ ? AF_INET6 : AF_INET, bytes_.data(), out.data(), out.size());
    return out.data();
}

namespace
{

// The bits of byte i that a prefix of that many bits covers.
std::uint8_t mask_byte(unsigned prefix, std::size_t i)
{
    const unsigned before = static_cast<unsigned>(i) * 8;
    if (prefix <= before)
        return 0;
    const unsigned bits = std::min(prefix - before, 8u);
    return static_cast<std::uint8_t>(0xff00u >> bits);
}

} // namespace

Result<Network> Network::parse(std::string_view text)
{
    const std::string quoted = '"' + printable(text.substr(0, 100)) + '"';
    // "[::1]/128" and, as an older habit has it, "[::1/128]".
    std::string plain(text);
    std::erase_if(plain, [](char c) { return c == '[' || c == ']'; });
    const auto slash = plain.find('/');
    const auto address = IpAddress::parse(std::string_view(plain).substr(0, slash));
    if (!address || std::ranges::count(text, '[') != std::ranges::count(text, ']'))
        return Error{Fault::malformed, "bad network " + quoted};

    Network network;
    network.base_ = *address;
    const unsigned width = address->v6_ ? 128 : 32;
    network.prefix_ = width;
    if (slash != std::string::npos) {
        const auto prefix = parse_unsigned(std::string_view(plain).substr(slash + 1));
        if (!prefix || *prefix > width)
            return Error{Fault::malformed, "bad prefix length in network " + quoted};
        network.prefix_ = static_cast<unsigned>(*prefix);
    }
    bool host_bits = false;
    for (std::size_t i = 0; i < network.base_.bytes_.size(); ++i) {
        std::uint8_t& byte = network.base_.bytes_[i];
        const auto kept = static_cast<std::uint8_t>(byte & mask_byte(network.prefix_, i));
        host_bits = host_bits || kept != byte;
        byte = kept;
    }
    if (host_bits)
        return Error{Fault::malformed, "host bits are set in network " + quoted + ", perhaps \"" +
                                           network.text() + "\" is meant"};
    return network;
}

bool Network::contains(const IpAddress& address) const
{
    if (address.v6_ != base_.v6_)
        return false;
    for (std::size_t i = 0; i * 8 < prefix_; ++i)
        if ((address.bytes_[i] & mask_byte(prefix_, i)) != base_.bytes_[i])
            return false;
    return true;
}

std::string Network::text() const
{
    const std::string prefix = '/' + std::to_string(prefix_);
    return base_.is_v6() ? '[' + base_.text() + ']' + prefix : base_.text() + prefix;
}

Result<NetworkList> NetworkList::parse(std::string_view text)
{
    NetworkList list;
    for (std::string_view word : split(text, ", \t\r\n")) {
        bool exclude = false;
        while (word.starts_with('!')) {
            exclude = !exclude;
            word.remove_prefix(1);
        }
        TRY(const Network network, Network::parse(word));
        list.add(network, exclude);
    }
    return list;
}

void NetworkList::add(const Network& network, bool exclude)
{
    entries_.push_back({network, exclude});
}

std::optional<bool> NetworkList::find(const IpAddress& address) const
{
    for (const Entry& entry : entries_)
        if (entry.network.contains(address))
            return !entry.exclude;
    return std::nullopt;
}

bool domain_matches(std::string_view pattern, std::string_view domain, bool subdomains)
{
    if (pattern.empty())
        return false;
    if (pattern.front() == '.')
        return domain.size() > pattern.size() && ends_with_ignoring_case(domain, pattern);
    if (equals_ignoring_case(pattern, domain))
        return true;
    return subdomains && domain.size() > pattern.size() + 1 && ends_with_ignoring_case(domain, pattern) &&
           domain[domain.size() - pattern.size() - 1] == '.';
}

std::string_view parent_domain(std::string_view domain)
{
    const auto dot = domain.find('.', domain.starts_with('.') ? 1 : 0);
    return dot == std::string_view::npos ? std::string_view{} : domain.substr(dot);
}

} // namespace bulkhead
