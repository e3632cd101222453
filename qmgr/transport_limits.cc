// What the administrator has set for each transport: <transport>_destination_... of main.cf,
// else the default_... of that name.
#include "qmgr.h"

#include "config/known_parameters.h"

#include <array>

#include <fmt/format.h>

namespace bulkhead
{

static Result<> check(std::string_view suffix, const std::string& value)
{
    if (suffix.ends_with("_feedback")) {
        TRY_VOID(Feedback::parse(value));
        return {};
    }
    if (suffix.ends_with("_rate_delay")) {
        TRY_VOID(Rate::parse(value));
        return {};
    }
    if (suffix.ends_with("_refill_delay")) {
        Seconds seconds{};
        return detail::assign_value(value, at_least(1), seconds);
    }
    int number = 0;
    return detail::assign_value(value, at_least(0), number);
}

// Everything that main.cf says of transports, whether they are in use or not.
Result<> Qmgr::check_transports() const
{
    constexpr std::array suffixes{
        "_destination_concurrency_limit",
        "_destination_recipient_limit",
        "_destination_concurrency_failed_cohort_limit",
        "_destination_concurrency_positive_feedback",
        "_destination_concurrency_negative_feedback",
        "_initial_destination_concurrency",
        "_destination_rate_delay",
        "_transport_rate_delay",
        "_delivery_slot_cost",
        "_delivery_slot_discount",
        "_delivery_slot_loan",
        "_minimum_delivery_slots",
        "_extra_recipient_limit",
        "_recipient_refill_limit",
        "_recipient_refill_delay",
    };
    for (const auto& [name, setting] : config().main_cf().settings())
        for (const std::string_view suffix : suffixes) {
            if (!name.ends_with(suffix))
                continue;
            const auto good = check(suffix, config().get(name));
            if (!good)
                return Error{Fault::config,
                             fmt::format("{}: {}: {}", config().place(name), name, good.error().context)};
        }
    return {};
}

// Unreadable values were refused at the start.
TransportLimits Qmgr::limits_of(const std::string& transport) const
{
    const auto value = [&](std::string_view suffix) { return config().transport_value(transport, suffix); };
    const auto read = [&](std::string_view suffix, auto& into) {
        (void)detail::assign_value(value(suffix), at_least(0), into);
    };
    TransportLimits limits;
    limits.initial = params_.initial_concurrency();
    read("_destination_concurrency_limit", limits.concurrency);
    read("_destination_recipient_limit", limits.recipients);
    read("_destination_concurrency_failed_cohort_limit", limits.cohorts);
    read("_initial_destination_concurrency", limits.initial);
    read("_delivery_slot_cost", limits.slot_cost);
    read("_delivery_slot_discount", limits.slot_discount);
    read("_delivery_slot_loan", limits.slot_loan);
    read("_minimum_delivery_slots", limits.minimum_slots);
    read("_recipient_limit", limits.recipients_in_memory);
    read("_extra_recipient_limit", limits.extra_recipients);
    read("_recipient_refill_limit", limits.refill_limit);
    read("_recipient_refill_delay", limits.refill_delay);
    limits.positive =
        Feedback::parse(value("_destination_concurrency_positive_feedback")).value_or(Feedback{});
    limits.negative =
        Feedback::parse(value("_destination_concurrency_negative_feedback")).value_or(Feedback{});
    limits.destination_rate = Rate::parse(value("_destination_rate_delay")).value_or(Rate{});
    limits.transport_rate = Rate::parse(value("_transport_rate_delay")).value_or(Rate{});
    if (transport == retry_transport)
        limits.cohorts = 0;
    return limits;
}

} // namespace bulkhead
