#include "config/values.h"

#include "base/text.h"

#include <fmt/format.h>

#include <charconv>
#include <limits>

namespace bulkhead
{

Result<bool> parse_bool(std::string_view text)
{
    if (equals_ignoring_case(text, "yes"))
        return true;
    if (equals_ignoring_case(text, "no"))
        return false;
    return Error{Fault::config, fmt::format("bad boolean value \"{}\", want yes or no", printable(text))};
}

Result<std::int64_t> parse_int(std::string_view text)
{
    std::int64_t value = 0;
    const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || fault != std::errc{} || end != text.data() + text.size())
        return Error{Fault::config, fmt::format("bad numerical value \"{}\"", printable(text))};
    return value;
}

static std::int64_t seconds_of(char unit)
{
    switch (unit) {
    case 's':
        return 1;
    case 'm':
        return 60;
    case 'h':
        return 3600;
    case 'd':
        return 86400;
    case 'w':
        return 7 * 86400;
    default:
        return 0;
    }
}

Result<std::int64_t> parse_seconds(std::string_view text, char unit)
{
    const Error bad{Fault::config, fmt::format("bad time value \"{}\"", printable(text))};
    if (text.empty())
        return bad;
    std::string_view digits = text;
    if (!is_digit(text.back())) {
        unit = ascii_lower(text.back());
        digits.remove_suffix(1);
    }
    const auto number = parse_unsigned(digits);
    const std::int64_t factor = seconds_of(unit);
    if (!number || factor == 0 ||
        *number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max() / factor))
        return bad;
    return static_cast<std::int64_t>(*number) * factor;
}

std::vector<std::string> parse_list(std::string_view text)
{
    std::vector<std::string> elements;
    std::string element;
    int depth = 0;
    for (const char c : text) {
        const bool separates = c == ',' || is_blank(c) || c == '\n' || c == '\r';
        if (depth == 0 && separates) {
            if (!element.empty())
                elements.push_back(std::move(element));
            element.clear();
            continue;
        }
        if (c == '{')
            ++depth;
        else if (c == '}' && depth > 0)
            --depth;
        element.push_back(c);
    }
    if (!element.empty())
        elements.push_back(std::move(element));
    return elements;
}

std::string_view without_braces(std::string_view element)
{
    element = trim(element);
    if (element.size() < 2 || element.front() != '{' || element.back() != '}')
        return element;
    return trim(element.substr(1, element.size() - 2));
}

} // namespace bulkhead
