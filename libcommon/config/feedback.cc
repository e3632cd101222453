#include "config/feedback.h"

#include "base/text.h"

#include <charconv>
#include <optional>

#include <fmt/format.h>

namespace bulkhead
{

static std::optional<double> parse_number(std::string_view text)
{
    double value = 0;
    const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || fault != std::errc{} || end != text.data() + text.size() || value < 0)
        return std::nullopt;
    return value;
}

Result<Feedback> Feedback::parse(std::string_view text)
{
    const auto slash = text.find('/');
    const auto amount = parse_number(trim(text.substr(0, slash)));
    if (!amount)
        return Error{Fault::config, fmt::format("bad feedback value: \"{}\"", printable(text))};
    if (slash == std::string_view::npos)
        return Feedback{*amount, false};
    const std::string_view divisor = trim(text.substr(slash + 1));
    if (equals_ignoring_case(divisor, "concurrency"))
        return Feedback{*amount, true};
    const auto number = parse_number(divisor);
    if (!number || *number == 0)
        return Error{Fault::config, fmt::format("bad feedback value: \"{}\"", printable(text))};
    return Feedback{*amount / *number, false};
}

} // namespace bulkhead
