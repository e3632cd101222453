// Handing entries to delivery agents and taking their reports.
#include "qmgr.h"

#include "base/text.h"
#include "log/log.h"
#include "mail/address.h"
#include "mail/verp.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

namespace bulkhead
{

Moment scheduler_time()
{
    return std::chrono::duration_cast<std::chrono::microseconds>(SteadyClock::now().time_since_epoch())
        .count();
}

std::string suspended_reason(const std::string& dsn_and_reason)
{
    const auto blank = dsn_and_reason.find(' ');
    return dsn_and_reason.substr(0, blank) +
           " delivery temporarily suspended:" + dsn_and_reason.substr(std::min(blank, dsn_and_reason.size()));
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
    const Moment now = scheduler_time();
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
    const Moment now = scheduler_time();
    const Moment at = scheduler_.next_event(now);
    if (at > 0)
        event_timer_.start(std::chrono::ceil<Milliseconds>(std::chrono::microseconds(at - now)));
}

ipc::DeliveryRequest Qmgr::request_for(const Entry& entry) const
{
    const ActiveMessage& message = *entry.message;
    const ActiveEnvelope& envelope = message.envelope;
    ipc::DeliveryRequest request;
    request.queue_name = "active";
    request.queue_id = message.id.text();
    if (message.in_log)
        request.log_place = to_text(logged_.at(message.id.text()).place);
    request.nexthop = entry.destination->nexthop;
    request.recipients = entry.recipients.unpack();
    request.sender = message.one_by_one ? verp_sender(envelope.sender, envelope.rare().verp,
                                                      request.recipients.front().address)
                                        : envelope.sender;
    request.encoding = envelope.encoding;
    request.envelope_id = envelope.rare().envelope_id;
    request.ret_flags = envelope.ret_flags;
    request.trace_flags = envelope.trace_flags;
    request.send_options = envelope.send_options;
    request.data_offset = envelope.data_offset;
    request.content_length = envelope.message_size;
    request.arrival = envelope.arrival;
    request.active_since = message.active_since;
    request.handed_over = WallTime::now();
    request.rewrite_context = envelope.rewrite_context;
    return request;
}

// The recipients that an agent could not be asked for go to the one that defers.
void Qmgr::reroute(std::unique_ptr<Entry> entry, const std::string& reason)
{
    ActiveMessage& message = *entry->message;
    std::vector<RoutedRecipient> recipients;
    for (ipc::DeliveryRecipient& recipient : entry->recipients.unpack())
        recipients.push_back({std::move(recipient), retry_transport, reason});
    const Moment now = scheduler_time();
    scheduler_.returned(std::move(entry), now);
    scheduler_.add(message, std::move(recipients), message.unread_count(), now);
}

void Qmgr::transport_failed(const std::string& transport, const std::string& reason)
{
    log::warn(fmt::format("{}", reason));
    const Moment rest = std::chrono::microseconds(params_.transport_retry_time()).count();
    scheduler_.suspend_transport(transport, scheduler_time() + rest);
    for (auto& waiting : scheduler_.take_waiting(transport, nullptr))
        reroute(std::move(waiting), "4.3.0 mail transport unavailable");
}

// For the lists of ETRN.  A table that another process keeps is asked by flush itself.
void Qmgr::note_waiting(ActiveMessage& message, const ipc::DeliveryRecipient& recipient)
{
    constexpr std::size_t max_sites = 1000;
    std::vector<std::string>& sites = message.waiting_sites;
    if (flush_sites_.empty() || message.is_probe() || sites.size() >= max_sites)
        return;
    const std::string site = lower(split_address(recipient.address).domain);
    if (site.empty() || std::ranges::find(sites, site) != sites.end())
        return;
    if (flush_sites_.may_block() || flush_sites_.match(site))
        sites.push_back(site);
}

// What became of an entry's recipients.
void Qmgr::count(ActiveMessage& message, const Entry& entry, const ipc::DeliveryReport& report)
{
    const auto bounced = std::ranges::count(report.outcomes, ipc::DeliveryOutcome::bounced);
    const auto deferred = std::ranges::count(report.outcomes, ipc::DeliveryOutcome::deferred);
    message.bounced += static_cast<std::size_t>(bounced);
    message.deferred += static_cast<std::size_t>(deferred);
    if (deferred == 0)
        return;
    const std::vector<ipc::DeliveryRecipient> recipients = entry.recipients.unpack();
    for (std::size_t i = 0; i < recipients.size(); ++i)
        if (report.outcomes[i] == ipc::DeliveryOutcome::deferred)
            note_waiting(message, recipients[i]);
}

void Qmgr::settled(ActiveMessage& message, std::size_t recipients)
{
    message.outstanding -= recipients;
    recipients_in_memory_ -= recipients;
    go_on(message);
}

// What comes next for a message: more of its recipients, or its end.
void Qmgr::go_on(ActiveMessage& message)
{
    if (message.refilling)
        return;
    if (!start_refill(message) && message.outstanding == 0)
        scope_.spawn(complete, this, &message);
}

Task<> Qmgr::deliver(Qmgr* self, std::unique_ptr<Entry> entry)
{
    const std::string transport = entry->destination->transport->name;
    const ipc::Message request = encode(self->request_for(*entry));
    bool repeated = false;
    const auto answer = co_await self->agent(transport).call(request, &repeated);
    --self->in_flight_;
    const Moment now = scheduler_time();
    ActiveMessage& message = *entry->message;
    // An agent that died may have put recipients into the bounce log, and marked them: the next
    // one cannot tell these from delivered ones.
    if (repeated)
        message.fresh = false;
    const std::size_t recipients = entry->recipients.size();

    auto report = !answer ? Result<ipc::DeliveryReport>(answer.error())
                  : answer->kind() != ipc::Kind::ok
                      ? Error(Fault::broken, std::string(answer->find("reason").value_or("agent failure")))
                      : ipc::decode_delivery_report(*answer);
    if (report && report->outcomes.size() != recipients)
        report = Error(Fault::malformed, fmt::format("transport {}: report for {} of {} recipients",
                                                     transport, report->outcomes.size(), recipients));

    if (report) {
        self->count(message, *entry, *report);
        if (report->site_reason.empty()) {
            self->scheduler_.delivered(std::move(entry), now);
        } else {
            const std::string queue = entry->destination->name;
            const std::string reason = report->site_dsn + " " + report->site_reason;
            if (self->scheduler_.site_failed(std::move(entry), reason, now, self->params_.minimal_backoff()))
                for (auto& waiting : self->scheduler_.take_waiting(transport, &queue))
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
