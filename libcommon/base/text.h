// Small functions on text that several floors need.  ASCII rules only: mail
// protocols fold case for A-Z, never for the locale.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

constexpr char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}
constexpr bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}
constexpr bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}
constexpr bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

std::string lower(std::string_view text);
bool equals_ignoring_case(std::string_view a, std::string_view b);
bool starts_with_ignoring_case(std::string_view text, std::string_view prefix);
bool ends_with_ignoring_case(std::string_view text, std::string_view suffix);

// Without leading and trailing blanks, tabs, CR and LF.  The view points into text.
std::string_view trim(std::string_view text);

// Parts between any of the separator characters; empty parts are left out.
std::vector<std::string_view> split(std::string_view text, std::string_view separators);

// Decimal digits only, no sign, no overflow; nullopt otherwise.
std::optional<std::uint64_t> parse_unsigned(std::string_view text);

// Every byte that is not printable ASCII becomes '?'; valid UTF-8 sequences
// stay when utf8 is true.  For log lines and notices.
std::string printable(std::string_view bytes, bool utf8 = false);

bool is_valid_utf8(std::string_view bytes);
bool has_8bit(std::string_view bytes);

} // namespace bulkhead
