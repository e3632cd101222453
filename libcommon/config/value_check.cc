#include "config/value_check.h"

#include "base/text.h"
#include "config/config.h"
#include "config/feedback.h"
#include "config/known_parameters.h"
#include "config/rate.h"

#include <fmt/format.h>

#include <limits>

namespace bulkhead
{

namespace
{

struct Range {
    std::int64_t low = std::numeric_limits<std::int64_t>::min();
    std::int64_t high = std::numeric_limits<std::int64_t>::max();
};

// "int [200..599]" -> 200, 599; an open end is unlimited.
Range range_of(std::string_view type)
{
    Range range;
    const auto open = type.find('[');
    const auto dots = type.find("..", open);
    const auto close = type.find(']', dots);
    if (open == std::string_view::npos || dots == std::string_view::npos || close == std::string_view::npos)
        return range;
    if (const auto low = parse_unsigned(type.substr(open + 1, dots - open - 1)))
        range.low = static_cast<std::int64_t>(*low);
    if (const auto high = parse_unsigned(type.substr(dots + 2, close - dots - 2)))
        range.high = static_cast<std::int64_t>(*high);
    return range;
}

Result<> check_range(const Config& config, std::string_view name, std::string_view type, std::int64_t value)
{
    const Range range = range_of(type);
    if (value < range.low)
        return Error{Fault::config, fmt::format("{}: {}: {} is less than {}", config.place(name), name,
                                                printable(config.get(name)), range.low)};
    if (value > range.high)
        return Error{Fault::config, fmt::format("{}: {}: {} is more than {}", config.place(name), name,
                                                printable(config.get(name)), range.high)};
    return {};
}

template <typename T> Result<> placed(const Config& config, std::string_view name, const Result<T>& parsed)
{
    if (parsed)
        return {};
    return Error{Fault::config, fmt::format("{}: {}: {}", config.place(name), name, parsed.error().context)};
}

} // namespace

Result<> check_value(const Config& config, std::string_view name)
{
    const auto known = describe_parameter(name);
    // An expression that needs a session's or a transport's values cannot be judged here.
    if (!known || known->type.find("expression") != std::string_view::npos ||
        known->type.find("read-only") != std::string_view::npos)
        return {};
    const std::string_view type = known->type;
    if (type == "bool") {
        TRY_VOID(config.get_bool(name));
        return {};
    }
    if (type.starts_with("int ") || type.starts_with("int64 ")) {
        TRY(const std::int64_t value, config.get_int(name));
        return check_range(config, name, type, value);
    }
    if (type.starts_with("feedback number"))
        return placed(config, name, Feedback::parse(config.get(name)));
    if (type == "delay or rate")
        return placed(config, name, Rate::parse(config.get(name)));
    constexpr std::string_view time = "time unit=";
    if (type.starts_with(time) && type.size() > time.size()) {
        const char unit = type[time.size()];
        TRY(const std::int64_t value, config.get_seconds(name, unit));
        // the bounds of the table count in the parameter's own unit
        const std::int64_t scale = unit == 'd' ? 86400 : unit == 'h' ? 3600 : unit == 'm' ? 60 : 1;
        return check_range(config, name, type, value == 0 ? 0 : std::max<std::int64_t>(1, value / scale));
    }
    return {};
}

Result<> check_values(const Config& config)
{
    for (const auto& [name, setting] : config.main_cf().settings())
        TRY_VOID(check_value(config, name));
    return {};
}

} // namespace bulkhead
