// What the administrator has set for each transport: <transport>_destination_... of main.cf,
// else the default_... of that name.
#include "qmgr.h"

namespace bulkhead
{

// Unreadable values were refused by check_values().
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
