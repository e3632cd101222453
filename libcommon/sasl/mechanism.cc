#include "sasl/mechanism.h"

#include "base/text.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace bulkhead::sasl
{

namespace
{

constexpr std::size_t name_limit = 20;

struct Row {
    std::string_view name;
    unsigned properties;
};

constexpr unsigned scram = property::dictionary | property::mutual_auth;
constexpr std::array<Row, 15> rows = {{
    {"PLAIN", property::plaintext},
    {"LOGIN", property::plaintext},
    {"ANONYMOUS", property::anonymous | property::plaintext},
    {"CRAM-MD5", property::dictionary | property::active},
    {"DIGEST-MD5", property::dictionary | property::active | property::mutual_auth},
    {"NTLM", property::dictionary | property::active},
    {"SCRAM-SHA-1", scram},
    {"SCRAM-SHA-1-PLUS", scram},
    {"SCRAM-SHA-256", scram},
    {"SCRAM-SHA-256-PLUS", scram},
    {"GSSAPI", property::mutual_auth},
    {"GSS-SPNEGO", property::mutual_auth},
    {"EXTERNAL", 0},
    // A token is a secret of this one service, and is worth nothing when it has expired.
    {"OAUTHBEARER", 0},
    {"XOAUTH2", 0},
}};

struct Word {
    std::string_view name;
    unsigned property;
    bool required;
};

constexpr std::array<Word, 6> words_known = {{
    {"noplaintext", property::plaintext, false},
    {"noanonymous", property::anonymous, false},
    {"noactive", property::active, false},
    {"nodictionary", property::dictionary, false},
    {"forward_secrecy", property::forward_secrecy, true},
    {"mutual_auth", property::mutual_auth, true},
}};

} // namespace

unsigned properties_of(std::string_view mechanism)
{
    const auto row =
        std::ranges::find_if(rows, [&](const Row& one) { return equals_ignoring_case(one.name, mechanism); });
    return row == rows.end() ? property::plaintext : row->properties;
}

Result<Demands> parse_security_options(const std::vector<std::string>& words)
{
    Demands demands;
    for (const std::string& word : words) {
        const auto known = std::ranges::find_if(
            words_known, [&](const Word& one) { return equals_ignoring_case(one.name, word); });
        if (known == words_known.end())
            return Error{Fault::config, fmt::format("unknown security option \"{}\"", printable(word))};
        (known->required ? demands.required : demands.forbidden) |= known->property;
    }
    return demands;
}

bool is_mechanism_name(std::string_view text)
{
    return !text.empty() && text.size() <= name_limit && std::ranges::all_of(text, [](char c) {
        return is_alpha(c) || is_digit(c) || c == '-' || c == '_';
    });
}

std::string upper(std::string_view text)
{
    std::string name(text);
    std::ranges::transform(name, name.begin(),
                           [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
    return name;
}

} // namespace bulkhead::sasl
