#include "tls/settings.h"

#include "base/text.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

namespace bulkhead::tls
{

namespace
{

constexpr std::string_view separators = " \t\r\n,:";
constexpr std::size_t list_limit = 1000; // names of one list

struct VersionName {
    std::string_view name;
    std::uint16_t number; // 0: a name of nothing
};
constexpr std::array<VersionName, 6> version_names = {{
    {"SSLv2", 0},
    {"SSLv3", 0x0300},
    {"TLSv1", 0x0301},
    {"TLSv1.1", 0x0302},
    {"TLSv1.2", 0x0303},
    {"TLSv1.3", 0x0304},
}};

std::optional<std::uint16_t> version_number(std::string_view word)
{
    for (const VersionName& row : version_names)
        if (equals_ignoring_case(word, row.name))
            return row.number;
    if (equals_ignoring_case(word, "TLSv1.0"))
        return version_1_0;
    if (!starts_with_ignoring_case(word, "0x"))
        return std::nullopt;
    std::uint16_t number = 0;
    const char* const end = word.data() + word.size();
    const auto [stop, fault] = std::from_chars(word.data() + 2, end, number, 16);
    if (fault != std::errc() || stop != end)
        return std::nullopt;
    return number;
}

struct LevelName {
    std::string_view name;
    Level level;
};
constexpr std::array<LevelName, 8> level_names = {{
    {"none", Level::none},
    {"may", Level::may},
    {"encrypt", Level::encrypt},
    {"fingerprint", Level::fingerprint},
    {"dane", Level::dane},
    {"dane-only", Level::dane_only},
    {"verify", Level::verify},
    {"secure", Level::secure},
}};

Error bad_setting(std::string_view what, std::string_view word)
{
    return Error(Fault::config, fmt::format("{} \"{}\"", what, printable(word)));
}

std::vector<std::string> words_of(std::string_view text, std::string_view between)
{
    std::vector<std::string> words;
    for (const std::string_view word : split(text, between))
        if (words.size() < list_limit)
            words.emplace_back(word);
    return words;
}

Result<> apply_attribute(Policy& policy, std::string_view name, std::string_view value)
{
    if (name == "match") {
        const auto matches = parse_matches(value, policy.level == Level::fingerprint);
        policy.matches.insert(policy.matches.end(), matches.begin(), matches.end());
    } else if (name == "protocols") {
        TRY_VOID(parse_protocols(value));
        policy.protocols = value;
    } else if (name == "ciphers") {
        policy.ciphers = value;
    } else if (name == "exclude") {
        policy.excluded = words_of(value, separators);
    } else if (name == "servername") {
        policy.server_name = value;
    } else if (name == "tafile") {
        policy.trust_anchor_files.emplace_back(value);
    } else if (name == "connection_reuse") {
        if (value != "yes" && value != "no")
            return bad_setting("connection_reuse", value);
        policy.keeps_connections = value == "yes";
    } else {
        return bad_setting("unknown attribute", name);
    }
    return {};
}

} // namespace

bool Protocols::allows(std::uint16_t version) const
{
    return (lowest == 0 || version >= lowest) && (highest == 0 || version <= highest) &&
           std::ranges::find(excluded, version) == excluded.end();
}

Result<Protocols> parse_protocols(std::string_view text)
{
    Protocols result;
    std::vector<std::uint16_t> wanted;
    bool names_wanted = false;
    for (std::string_view word : split(text, separators)) {
        const bool lowest = word.starts_with(">=");
        const bool highest = word.starts_with("<=");
        const bool excluded = word.starts_with('!');
        const std::string_view name = word.substr(lowest || highest ? 2 : excluded ? 1 : 0);
        const auto number = version_number(name);
        if (!number)
            return bad_setting("unknown protocol", name);
        if (lowest)
            result.lowest = *number;
        else if (highest)
            result.highest = *number;
        else if (!excluded)
            names_wanted = true;
        if (*number == 0 || lowest || highest)
            continue;
        auto& list = excluded ? result.excluded : wanted;
        if (std::ranges::find(list, *number) == list.end())
            list.push_back(*number);
    }
    bool any = false;
    for (const VersionName& row : version_names) {
        if (row.number == 0)
            continue;
        if (names_wanted && std::ranges::find(wanted, row.number) == wanted.end() &&
            result.allows(row.number))
            result.excluded.push_back(row.number);
        any |= result.allows(row.number);
    }
    if (!any)
        return bad_setting("no protocol is left by", text);
    return result;
}

Result<std::string> cipher_list(const CipherLists& lists, std::string_view grade,
                                const std::vector<std::string>& excluded)
{
    std::string list;
    if (equals_ignoring_case(grade, "high"))
        list = lists.high;
    else if (equals_ignoring_case(grade, "medium") || equals_ignoring_case(grade, "low") ||
             equals_ignoring_case(grade, "export"))
        list = lists.medium;
    else if (equals_ignoring_case(grade, "null"))
        list = lists.null;
    else
        return bad_setting("unknown cipher grade", grade);
    for (const std::string& name : excluded) {
        const auto good = [](char c) {
            return is_alpha(c) || is_digit(c) || c == '-' || c == '_' || c == '+' || c == '.';
        };
        if (name.empty() || !std::ranges::all_of(name, good))
            return bad_setting("bad cipher name", name);
        list += ":!" + name;
    }
    return list;
}

std::optional<Level> parse_level(std::string_view name)
{
    for (const LevelName& row : level_names)
        if (equals_ignoring_case(row.name, name))
            return row.level;
    return std::nullopt;
}

std::string_view level_name(Level level)
{
    return level_names[static_cast<std::size_t>(level)].name;
}

std::vector<std::string> parse_matches(std::string_view text, bool fingerprints)
{
    return words_of(text, fingerprints ? " \t\r\n,|" : " \t\r\n,|:");
}

Result<Policy> parse_policy(std::string_view text)
{
    const auto words = split(text, " \t\r\n,");
    if (words.empty())
        return Error(Fault::config, "empty policy");
    const auto level = parse_level(words.front());
    if (!level)
        return bad_setting("unknown security level", words.front());
    Policy policy;
    policy.level = *level;
    for (std::size_t i = 1; i < words.size(); ++i) {
        const auto equals = words[i].find('=');
        if (equals == words[i].npos)
            return bad_setting("no value of attribute", words[i]);
        TRY_VOID(apply_attribute(policy, words[i].substr(0, equals), words[i].substr(equals + 1)));
    }
    return policy;
}

bool name_matches(std::string_view wanted, std::string_view in_certificate)
{
    if (wanted.empty() || in_certificate.empty())
        return false;
    const bool wildcard = in_certificate.starts_with("*.");
    if (wanted.starts_with('.')) // any name below the parent
        return in_certificate.size() > wanted.size() && ends_with_ignoring_case(in_certificate, wanted);
    if (!wildcard)
        return equals_ignoring_case(wanted, in_certificate);
    const auto dot = wanted.find('.');
    const std::string_view parent = in_certificate.substr(1); // ".example.com"
    return dot != 0 && dot != wanted.npos && parent.find('.', 1) != parent.npos &&
           equals_ignoring_case(wanted.substr(dot), parent);
}

bool same_fingerprint(std::string_view a, std::string_view b)
{
    const auto digits = [](std::string_view text) {
        std::string out;
        for (const char c : text)
            if (c != ':')
                out += ascii_lower(c);
        return out;
    };
    const std::string bare = digits(a);
    return !bare.empty() && bare == digits(b);
}

} // namespace bulkhead::tls
