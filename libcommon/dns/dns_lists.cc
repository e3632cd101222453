#include "dns/dns_lists.h"

#include "base/text.h"
#include "mail/address.h"

#include <algorithm>

#include <netinet/in.h>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

Result<std::uint8_t> octet(std::string_view text)
{
    const auto number = parse_unsigned(text);
    if (!number || *number > 255)
        return Error{Fault::config, fmt::format("bad number \"{}\"", printable(text))};
    return static_cast<std::uint8_t>(*number);
}

// The next octet of a filter, a number or a bracketed list, off the front of text.
std::string_view take_octet(std::string_view& text)
{
    const auto end = text.starts_with('[') ? text.find(']') : text.find('.');
    const std::size_t size = end == text.npos ? text.size() : text.starts_with('[') ? end + 1 : end;
    const std::string_view taken = text.substr(0, size);
    text.remove_prefix(size);
    return taken;
}

} // namespace

Result<DnsList> DnsList::parse(std::string_view text)
{
    DnsList list;
    const auto equals = text.find('=');
    list.domain_ = text.substr(0, equals);
    if (!is_valid_domain(list.domain_))
        return Error{Fault::config, fmt::format("bad domain of a DNS list: \"{}\"", printable(text))};
    if (equals == text.npos)
        return list;
    list.filters_ = true;
    std::string_view rest = text.substr(equals + 1);
    const Error bad{Fault::config, fmt::format("bad filter of a DNS list: \"{}\"", printable(text))};
    for (std::size_t i = 0; i < list.octets_.size(); ++i) {
        if (i > 0 && !rest.starts_with('.'))
            return bad;
        rest.remove_prefix(i > 0 ? 1 : 0);
        std::string_view part = take_octet(rest);
        if (part.starts_with('[') && part.ends_with(']'))
            part = part.substr(1, part.size() - 2);
        for (const std::string_view range : split(part, ";")) {
            const auto dots = range.find("..");
            const auto low = octet(range.substr(0, dots));
            const auto high = dots == range.npos ? low : octet(range.substr(dots + 2));
            if (!low || !high || *low > *high)
                return bad;
            list.octets_[i].emplace_back(*low, *high);
        }
        if (list.octets_[i].empty())
            return bad;
    }
    if (!rest.empty())
        return bad;
    return list;
}

bool DnsList::counts(const SocketAddress& answer) const
{
    if (answer.is_v6())
        return false;
    if (!filters_)
        return true;
    const auto* const bytes =
        reinterpret_cast<const std::uint8_t*>(&reinterpret_cast<const sockaddr_in*>(answer.data())->sin_addr);
    for (std::size_t i = 0; i < octets_.size(); ++i) {
        const auto covers = [&](const Range& range) {
            return bytes[i] >= range.first && bytes[i] <= range.second;
        };
        if (std::ranges::none_of(octets_[i], covers))
            return false;
    }
    return true;
}

std::string reversed_address(const SocketAddress& address)
{
    std::string name;
    if (!address.is_v6()) {
        const auto* const bytes = reinterpret_cast<const std::uint8_t*>(
            &reinterpret_cast<const sockaddr_in*>(address.data())->sin_addr);
        return fmt::format("{}.{}.{}.{}", bytes[3], bytes[2], bytes[1], bytes[0]);
    }
    const in6_addr& in = reinterpret_cast<const sockaddr_in6*>(address.data())->sin6_addr;
    for (int i = 15; i >= 0; --i)
        name += fmt::format("{:x}.{:x}{}", in.s6_addr[i] & 15, in.s6_addr[i] >> 4, i > 0 ? "." : "");
    return name;
}

} // namespace bulkhead
