// Handing entries to delivery agents and taking their reports.
#include "qmgr.h"

#include "log/log.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

namespace bulkhead
{

std::string suspended_reason(const std::string& dsn_and_reason)
{
    const auto blank = dsn_and_reason.find(' ');
    return dsn_and_reason.substr(0, blank) +
           " delivery temporarily suspended:" + dsn_and_reason.substr(std::min(blank, dsn_and_reason.size()));
}

TransportLimits Qmgr::limits_of(const std::string& transport) const
{
    const auto number = [&](std::string_view suffix, int fallback) {
        const auto value = config().transport_value(transport, suffix);
        int parsed = fallback;
        return detail::assign_value(value, at_least(0), parsed) ? parsed : fallback;
    };
    const auto feedback = [&](std::string_view suffix) {
        const auto value = Feedback::parse(config().transport_value(transport, suffix));
        return value ? *value : Feedback{};
    };
    TransportLimits limits;
    limits.concurrency = number("_destination_concurrency_limit", 20);
    limits.recipients = number("_destination_recipient_limit", 50);
    limits.cohorts = number("_destination_concurrency_failed_cohort_limit", 1);
    limits.initial = number("_initial_destination_concurrency", params_.initial_concurrency());
    limits.positive = feedback("_destination_concurrency_positive_feedback");
    limits.negative = feedback("_destination_concurrency_negative_feedback");
    Seconds delay{0};
    if (detail::assign_value(config().transport_value(transport, "_destination_rate_delay"), at_least(0),
                             delay))
        limits.rate_delay = delay;
    if (transport == retry_transport)
        limits.cohorts = 0;
    return limits;
}

ipc::Service& Qmgr::agent(const std::string& transport)
{
    auto& slot = agents_[transport];
    if (!slot)
        slot = std::make_unique<ipc::Service>("private/" + transport, common().ipc_timeout());
    return *slot;
}

void Qmgr::trace_choice(const Entry& entry) const
{
    const Destination& to = *entry.destination;
    log::trace(fmt::format("{}: next is {}:{}, {} recipients, {} of {} at once; {} requests wait",
                           entry.message->id.text(), to.transport->name, to.nexthop, entry.recipients.size(),
                           to.busy, to.window, scheduler_.waiting()));
}

void Qmgr::pump()
{
    const std::int64_t now = WallTime::now().seconds;
    while (!is_draining() && in_flight_ < in_flight_limit_) {
        auto entry = scheduler_.next(now);
        if (!entry)
            break;
        ++in_flight_;
        if (log::verbosity() > 0)
            trace_choice(*entry);
        scope_.spawn(deliver, this, std::move(entry));
    }
    arm_event_timer();
}

void Qmgr::arm_event_timer()
{
    const std::int64_t now = WallTime::now().seconds;
    const std::int64_t at = scheduler_.next_event(now);
    if (at > 0)
        event_timer_.start(Seconds(at - now));
}

ipc::DeliveryRequest Qmgr::request_for(const Entry& entry) const
{
    const ActiveMessage& message = *entry.message;
    const Envelope& envelope = message.envelope;
    ipc::DeliveryRequest request;
    request.queue_name = "active";
    request.queue_id = message.id.text();
    request.nexthop = entry.destination->nexthop;
    request.sender = envelope.sender;
    request.encoding = envelope.encoding;
    request.envelope_id = envelope.envelope_id;
    request.ret_flags = envelope.ret_flags;
    request.trace_flags = envelope.trace_flags;
    request.send_options = envelope.sizes.send_options;
    request.data_offset = envelope.sizes.data_offset;
    request.content_length = envelope.message_size();
    request.arrival = envelope.arrival;
    request.active_since = message.active_since;
    request.handed_over = WallTime::now();
    request.rewrite_context = envelope.rewrite_context;
    for (const NamedAttribute& attribute : envelope.attributes)
        request.attributes.emplace_back(attribute.name, attribute.value);
    request.recipients = entry.recipients;
    return request;
}

// The recipients that an agent could not be asked for go to the one that defers.
void Qmgr::reroute(std::unique_ptr<Entry> entry, const std::string& reason)
{
    ActiveMessage& message = *entry->message;
    std::vector<RoutedRecipient> recipients;
    for (ipc::DeliveryRecipient& recipient : entry->recipients)
        recipients.push_back({std::move(recipient), retry_transport, reason});
    const std::int64_t now = WallTime::now().seconds;
    scheduler_.returned(std::move(entry), now);
    scheduler_.add(message, std::move(recipients), now);
}

void Qmgr::transport_failed(const std::string& transport, const std::string& reason)
{
    log::warn(fmt::format("{}", reason));
    scheduler_.suspend_transport(transport, WallTime::now().seconds + params_.transport_retry_time().count());
    for (auto& waiting : scheduler_.take_waiting(transport, nullptr))
        reroute(std::move(waiting), "4.3.0 mail transport unavailable");
}

void Qmgr::settled(ActiveMessage& message, std::size_t recipients)
{
    message.outstanding -= recipients;
    recipients_in_memory_ -= recipients;
    if (message.outstanding == 0)
        scope_.spawn(complete, this, &message);
}

Task<> Qmgr::deliver(Qmgr* self, std::unique_ptr<Entry> entry)
{
    const std::string transport = entry->destination->transport->name;
    const ipc::Message request = encode(self->request_for(*entry));
    const auto answer = co_await self->agent(transport).call(request);
    --self->in_flight_;
    const std::int64_t now = WallTime::now().seconds;
    ActiveMessage& message = *entry->message;
    const std::size_t recipients = entry->recipients.size();

    auto report = !answer ? Result<ipc::DeliveryReport>(answer.error())
                  : answer->kind() != ipc::Kind::ok
                      ? Error(Fault::broken, std::string(answer->find("reason").value_or("agent failure")))
                      : ipc::decode_delivery_report(*answer);
    if (report && report->outcomes.size() != recipients)
        report = Error(Fault::malformed, fmt::format("transport {}: report for {} of {} recipients",
                                                     transport, report->outcomes.size(), recipients));

    if (report) {
        for (const ipc::DeliveryOutcome outcome : report->outcomes) {
            message.deferred += outcome == ipc::DeliveryOutcome::deferred;
            message.bounced += outcome == ipc::DeliveryOutcome::bounced;
        }
        if (report->site_reason.empty()) {
            self->scheduler_.delivered(std::move(entry), now);
        } else {
            const std::string nexthop = entry->destination->nexthop;
            const std::string reason = report->site_dsn + " " + report->site_reason;
            if (self->scheduler_.site_failed(std::move(entry), reason, now, self->params_.minimal_backoff()))
                for (auto& waiting : self->scheduler_.take_waiting(transport, &nexthop))
                    self->reroute(std::move(waiting), suspended_reason(reason));
        }
        self->settled(message, recipients);
    } else if (report.error().fault == Fault::io && transport != retry_transport &&
               (report.error().number == ENOENT || report.error().number == ECONNREFUSED)) {
        self->transport_failed(transport, fmt::format("connect to transport private/{}: {}", transport,
                                                      std::strerror(report.error().number)));
        self->reroute(std::move(entry), "4.3.0 mail transport unavailable");
    } else {
        // The agent died or could not work: the marks in the file say what it did.
        log::warn(fmt::format("{}: transport {}: {}", message.id.text(), transport, report.error().context));
        message.deferred += recipients;
        message.uncertain = true;
        self->scheduler_.returned(std::move(entry), now);
        self->settled(message, recipients);
    }
    self->pump();
    self->after_change();
}

} // namespace bulkhead
