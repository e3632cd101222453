#include "client_attributes.h"

#include "base/text.h"
#include "mail/address.h"
#include "mail/dsn.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace bulkhead
{

namespace
{

constexpr std::string_view unavailable = "[UNAVAILABLE]";
constexpr std::string_view unavailable_now = "[TEMPUNAVAIL]";
constexpr std::string_view ipv6_prefix = "IPV6:";
constexpr std::size_t value_limit = 255;
constexpr std::size_t attribute_limit = 20; // in one command
constexpr std::size_t shown = 100;          // bytes of a refused value in the reply

std::unexpected<Reply> bad(std::string text)
{
    return std::unexpected(Reply(501, "5.5.4", std::move(text)));
}

struct Attribute {
    std::string name; // upper case
    std::string value;
    bool known = true; // false: [UNAVAILABLE]

    std::unexpected<Reply> bad_syntax() const
    {
        return bad("Bad " + name + " syntax: " + printable(std::string_view(value).substr(0, shown)));
    }
};

std::string upper(std::string_view text)
{
    std::string out(text);
    std::ranges::transform(out, out.begin(),
                           [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
    return out;
}

Answer<std::vector<Attribute>> split_attributes(std::string_view command, std::string_view known,
                                                std::string_view arguments)
{
    const auto words = split(arguments, " \t");
    if (words.empty())
        return bad("Syntax: " + std::string(command) + " attribute=value...");
    if (words.size() > attribute_limit)
        return bad("Error: too many attributes");
    const auto names = split(known, " ");
    std::vector<Attribute> attributes;
    for (const std::string_view word : words) {
        const auto equal = word.find('=');
        if (equal == std::string_view::npos || equal == 0 || equal + 1 == word.size())
            return bad("Error: attribute=value expected");
        Attribute attribute;
        attribute.name = upper(word.substr(0, equal));
        if (std::ranges::find(names, attribute.name) == names.end())
            return bad("Bad " + std::string(command) +
                       " attribute name: " + printable(word.substr(0, std::min(equal, shown))));
        attribute.value = word.substr(equal + 1);
        attribute.known = !equals_ignoring_case(attribute.value, unavailable);
        if (attribute.value.size() > value_limit)
            return attribute.bad_syntax();
        auto decoded = decode_xtext(attribute.value, true);
        if (!decoded)
            return attribute.bad_syntax();
        attribute.value = printable(*decoded, true);
        attributes.push_back(std::move(attribute));
    }
    return attributes;
}

struct NetworkAddress {
    std::string text;
    bool v6 = false;
};

// "192.0.2.1", "IPV6:2001:db8::1"; without_tag lets an IPv6 address stand alone.
std::optional<NetworkAddress> parse_network_address(std::string_view text, bool without_tag)
{
    const bool tagged = starts_with_ignoring_case(text, ipv6_prefix);
    if (tagged)
        text.remove_prefix(ipv6_prefix.size());
    const std::string copy(text);
    unsigned char bytes[16];
    char printed[INET6_ADDRSTRLEN];
    if ((tagged || without_tag) && ::inet_pton(AF_INET6, copy.c_str(), bytes) == 1)
        return NetworkAddress{::inet_ntop(AF_INET6, bytes, printed, sizeof printed), true};
    if (!tagged && ::inet_pton(AF_INET, copy.c_str(), bytes) == 1)
        return NetworkAddress{::inet_ntop(AF_INET, bytes, printed, sizeof printed), false};
    return std::nullopt;
}

std::optional<std::uint16_t> parse_port(std::string_view text)
{
    const auto number = parse_unsigned(text);
    if (!number || *number > 65535)
        return std::nullopt;
    return static_cast<std::uint16_t>(*number);
}

PeerName status_of(const Attribute& attribute)
{
    if (equals_ignoring_case(attribute.value, unavailable_now))
        return PeerName::temporary;
    return attribute.known ? PeerName::known : PeerName::unknown;
}

// A name of the client; what is not known is "unknown".
Answer<std::string> name_in(const Attribute& attribute)
{
    if (status_of(attribute) != PeerName::known)
        return "unknown";
    if (!is_valid_domain(attribute.value, true))
        return attribute.bad_syntax();
    return attribute.value;
}

// One attribute of XCLIENT; the reply if it is refused.
std::optional<Reply> apply(const Attribute& attribute, ClaimedClient& client)
{
    Peer& peer = client.peer;
    const std::string& what = attribute.name;
    if (what == "NAME" || what == "REVERSE_NAME") {
        auto name = name_in(attribute);
        if (!name)
            return name.error();
        (what == "NAME" ? peer.name : peer.reverse_name) = *std::move(name);
        (what == "NAME" ? peer.name_status : peer.reverse_status) = status_of(attribute);
    } else if (what == "ADDR" || what == "DESTADDR") {
        NetworkAddress address{"unknown", false};
        if (attribute.known) {
            const auto parsed = parse_network_address(attribute.value, false);
            if (!parsed)
                return attribute.bad_syntax().error();
            address = *parsed;
        }
        (what == "ADDR" ? peer.address : peer.server_address) = address.text;
        if (what == "ADDR") {
            peer.v6 = address.v6;
            peer.network = true;
        }
    } else if (what == "PORT" || what == "DESTPORT") {
        const auto port = attribute.known ? parse_port(attribute.value) : std::optional<std::uint16_t>(0);
        if (!port)
            return attribute.bad_syntax().error();
        (what == "PORT" ? peer.port : peer.server_port) = *port;
    } else if (what == "HELO") {
        client.helo = attribute.known ? without_specials(attribute.value) : std::string();
    } else if (what == "PROTO") {
        client.extended = equals_ignoring_case(attribute.value, "ESMTP");
        if (!*client.extended && !equals_ignoring_case(attribute.value, "SMTP"))
            return attribute.bad_syntax().error();
    } else {
        client.login = attribute.known ? attribute.value : std::string();
    }
    return std::nullopt;
}

// One attribute of XFORWARD.
std::optional<Reply> apply(const Attribute& attribute, Forwarded& client)
{
    const std::string value = attribute.known ? attribute.value : std::string();
    const std::string& what = attribute.name;
    const bool good_name = value.empty() || is_valid_domain(value, true);
    if (what == "NAME") {
        if (attribute.value.empty() || !good_name)
            return attribute.bad_syntax().error();
        client.name = attribute.known ? value : "unknown";
    } else if (what == "ADDR") {
        const auto parsed = parse_network_address(value, true);
        if (attribute.known && !parsed)
            return attribute.bad_syntax().error();
        client.address = parsed ? parsed->text : "unknown";
    } else if (what == "PORT") {
        if (attribute.known && !parse_port(value))
            return attribute.bad_syntax().error();
        client.port = value;
    } else if (what == "SOURCE") {
        client.local = equals_ignoring_case(value, "LOCAL");
        if (attribute.known && !client.local && !equals_ignoring_case(value, "REMOTE"))
            return attribute.bad_syntax().error();
    } else if (what == "PROTO") {
        client.protocol = without_specials(value);
    } else if (what == "HELO") {
        client.helo = without_specials(value);
    } else {
        client.ident = without_specials(value);
    }
    return std::nullopt;
}

} // namespace

std::string without_specials(std::string name)
{
    constexpr std::string_view specials = " <>()\\\";@";
    std::ranges::replace_if(name, [&](char c) { return specials.find(c) != std::string_view::npos; }, '?');
    return name;
}

Answer<ClaimedClient> parse_xclient(std::string_view arguments, const Peer& before)
{
    const auto attributes = split_attributes("XCLIENT", xclient_attributes, arguments);
    if (!attributes)
        return std::unexpected(attributes.error());
    ClaimedClient client{before, {}, {}, {}};
    for (const Attribute& attribute : *attributes)
        if (auto refusal = apply(attribute, client))
            return std::unexpected(*std::move(refusal));
    return client;
}

Answer<Forwarded> parse_xforward(std::string_view arguments, const Forwarded& before)
{
    const auto attributes = split_attributes("XFORWARD", xforward_attributes, arguments);
    if (!attributes)
        return std::unexpected(attributes.error());
    Forwarded client = before;
    client.told = true;
    for (const Attribute& attribute : *attributes)
        if (auto refusal = apply(attribute, client))
            return std::unexpected(*std::move(refusal));
    return client;
}

} // namespace bulkhead
