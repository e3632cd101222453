#include "smtp/ehlo.h"

#include "base/text.h"

#include <algorithm>
#include <span>

namespace bulkhead
{

namespace
{

constexpr std::size_t word_limit = 64; // bytes of a mechanism or attribute name
constexpr std::size_t list_limit = 64; // names in one list

bool lists(const std::vector<std::string>& names, std::string_view name)
{
    return std::ranges::any_of(names,
                               [&](const std::string& known) { return equals_ignoring_case(known, name); });
}

void add_names(std::vector<std::string>& names, std::span<const std::string_view> words)
{
    for (const std::string_view word : words) {
        const auto good = [](char c) { return is_alpha(c) || is_digit(c) || c == '-' || c == '_'; };
        if (word.size() > word_limit || names.size() >= list_limit || lists(names, word) ||
            !std::ranges::all_of(word, good))
            continue;
        std::string name(word);
        std::ranges::transform(name, name.begin(),
                               [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
        names.push_back(std::move(name));
    }
}

void add_capability(Capabilities& known, std::string_view keyword,
                    std::span<const std::string_view> arguments)
{
    const auto is = [&](std::string_view name) { return equals_ignoring_case(keyword, name); };
    if (is("PIPELINING")) {
        known.pipelining = true;
    } else if (is("8BITMIME")) {
        known.eightbitmime = true;
    } else if (is("DSN")) {
        known.dsn = true;
    } else if (is("SMTPUTF8")) {
        known.smtputf8 = true;
    } else if (is("ENHANCEDSTATUSCODES")) {
        known.enhanced_status_codes = true;
    } else if (is("STARTTLS")) {
        known.starttls = true;
    } else if (is("CHUNKING")) {
        known.chunking = true;
    } else if (is("SIZE")) {
        known.size = true;
        known.size_limit = arguments.empty() ? 0 : parse_unsigned(arguments.front()).value_or(0);
    } else if (is("AUTH")) {
        add_names(known.auth, arguments);
    } else if (is("XFORWARD")) {
        add_names(known.xforward, arguments);
    }
}

} // namespace

bool Capabilities::offers_auth(std::string_view mechanism) const
{
    return lists(auth, mechanism);
}

bool Capabilities::offers_xforward(std::string_view attribute) const
{
    return lists(xforward, attribute);
}

Capabilities parse_capabilities(const PeerReply& reply, const std::vector<std::string>& discard)
{
    Capabilities known;
    for (std::size_t i = 0; i < reply.lines.size(); ++i) {
        // "AUTH=LOGIN" is how servers spoke before RFC 2554.
        const auto words = split(reply.lines[i], " \t=");
        if (words.empty())
            continue;
        if (i == 0)
            known.host = printable(split(reply.lines[0], " \t").front());
        else if (!lists(discard, words.front()))
            add_capability(known, words.front(), std::span(words).subspan(1));
    }
    return known;
}

} // namespace bulkhead
