#include "config/params.h"

#include "base/text.h"
#include "config/config.h"
#include "config/known_parameters.h"
#include "config/values.h"

#include <fmt/format.h>

namespace bulkhead
{

ParamBase::ParamBase(ParamSet* set, std::string name, std::string_view default_value, Bounds bounds,
                     std::string_view help)
    : name_(std::move(name)), default_(default_value), bounds_(bounds), help_(help)
{
    set->params_.push_back(this);
    if (!set->name_change_)
        return;
    std::string changed = set->name_change_(name_);
    const auto known = find_known_parameter(changed);
    if (!known)
        return;
    name_ = std::move(changed);
    default_ = known->default_value; // the table lives as long as the program
}

Result<> ParamSet::load(const Config& config)
{
    for (ParamBase* param : params_) {
        // The table of known names comes before the declaration: product and machine
        // say there what the declaration cannot know.
        const bool known = config.raw(param->name()).has_value();
        auto text = [&]() -> Result<std::string> {
            if (param->wants_raw())
                return known ? *config.raw(param->name()) : std::string(param->default_value());
            return known ? config.expanded(param->name()) : config.expand_text(param->default_value());
        }();
        const auto assigned = text ? param->assign(*text) : Result<>(text.error());
        if (!assigned)
            return Error{Fault::config, fmt::format("{}: {}: {}", config.place(param->name()), param->name(),
                                                    assigned.error().context)};
    }
    return {};
}

std::vector<std::string> ParamSet::disagreements() const
{
    std::vector<std::string> lines;
    for (const ParamBase* param : params_) {
        const auto known = find_known_parameter(param->name());
        if (!known && !split_transport_name(param->name()))
            lines.push_back(fmt::format("{}: not in the table of known names", param->name()));
        else if (known && known->default_value != param->default_value() &&
                 product_default(param->name()) != param->default_value())
            lines.push_back(fmt::format("{}: declared default \"{}\", table \"{}\"", param->name(),
                                        param->default_value(), known->default_value));
    }
    return lines;
}

namespace detail
{

static Result<> check_bounds(std::int64_t value, const Bounds& bounds)
{
    if (value < bounds.low)
        return Error{Fault::config, fmt::format("value {} is less than {}", value, bounds.low)};
    if (value > bounds.high)
        return Error{Fault::config, fmt::format("value {} is more than {}", value, bounds.high)};
    return {};
}

Result<> assign_value(const std::string& text, const Bounds&, bool& value)
{
    TRY(value, parse_bool(text));
    return {};
}

Result<> assign_value(const std::string& text, const Bounds& bounds, int& value)
{
    TRY(const std::int64_t number, parse_int(text));
    TRY_VOID(check_bounds(number, bounds));
    TRY_VOID(check_bounds(number, between(std::numeric_limits<int>::min(), std::numeric_limits<int>::max())));
    value = static_cast<int>(number);
    return {};
}

Result<> assign_value(const std::string& text, const Bounds& bounds, std::int64_t& value)
{
    TRY(const std::int64_t number, parse_int(text));
    TRY_VOID(check_bounds(number, bounds));
    value = number;
    return {};
}

Result<> assign_value(const std::string& text, const Bounds& bounds, Seconds& value)
{
    TRY(const std::int64_t seconds, parse_seconds(text, bounds.unit));
    TRY_VOID(check_bounds(seconds, bounds));
    // A century is for ever; more would overflow when a clock is added.
    value = Seconds(std::min<std::int64_t>(seconds, 36525LL * 86400));
    return {};
}

Result<> assign_value(const std::string& text, const Bounds&, std::string& value)
{
    value = text;
    return {};
}

Result<> assign_value(const std::string& text, const Bounds&, RawText& value)
{
    value.text = text;
    return {};
}

Result<> assign_value(const std::string& text, const Bounds&, std::vector<std::string>& value)
{
    value = parse_list(text);
    return {};
}

} // namespace detail

} // namespace bulkhead
