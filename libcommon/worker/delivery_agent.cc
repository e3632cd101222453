#include "worker/delivery_agent.h"

#include "async/offload.h"
#include "base/dsn_flags.h"
#include "base/text.h"
#include "ipc/verify.h"
#include "log/log.h"
#include "mail/address.h"
#include "mail/logged_address.h"
#include "mail/probe.h"
#include "spool/lock.h"
#include "spool/marks.h"
#include "table/ask.h"
#include "worker/spool_of.h"

#include <algorithm>

#include <fmt/format.h>

namespace bulkhead
{

using ipc::DeliveryOutcome;

bool Delivery::all_settled() const
{
    return std::ranges::all_of(settled_, [](bool settled) { return settled; });
}

void Delivery::site_trouble(std::string dsn, std::string reason)
{
    report_.site_dsn = std::move(dsn);
    report_.site_reason = std::move(reason);
}

// A request that is repeated because the agent died must not deliver twice what the
// file says was delivered.
void Delivery::pass_over_done()
{
    for (std::size_t i = 0; i < settled_.size(); ++i) {
        char type = 0;
        const std::int64_t offset = request_.recipients[i].offset;
        if (offset < 0 || ::pread(fd(), &type, 1, base_ + offset) != 1 ||
            type != static_cast<char>(RecordType::recipient_done))
            continue;
        settled_[i] = true;
        report_.outcomes[i] = DeliveryOutcome::sent;
    }
}

Task<> Delivery::settle_rest(DeliveryStatus status)
{
    for (std::size_t i = 0; i < settled_.size(); ++i)
        if (!settled_[i])
            co_await settle(i, status);
}

static bool is_probe(const ipc::DeliveryRequest& request)
{
    return request.trace_flags & (trace_flag::probe | trace_flag::verify_only);
}

Task<> Delivery::settle(std::size_t index, DeliveryStatus status)
{
    settled_[index] = true;
    const DeliveryOutcome outcome = co_await report(request_.recipients[index], std::move(status));
    close(index, outcome);
}

Task<DeliveryOutcome> Delivery::report(ipc::DeliveryRecipient part, DeliveryStatus status)
{
    co_await agent_->filter_status(status);
    if (status.outcome == DeliveryOutcome::bounced && agent_->agent_params_.soft_bounce() &&
        !is_probe(request_))
        status.outcome = DeliveryOutcome::deferred;
    if (status.outcome == DeliveryOutcome::deferred && !status.dsn.empty())
        status.dsn[0] = '4';
    const bool told = co_await agent_->tell(*this, part, status);
    if (!told && status.outcome == DeliveryOutcome::bounced) {
        // What cannot be put into the bounce log is tried again, never lost.
        status.outcome = DeliveryOutcome::deferred;
        status.dsn = "4.3.0";
        status.reason += " (bounce service unavailable)";
    }
    agent_->log_status(*this, part, status);
    // Whatever a probe has found, it has done its work.
    if (told && is_probe(request_))
        status.outcome = DeliveryOutcome::sent;
    co_return status.outcome;
}

void Delivery::close(std::size_t index, DeliveryOutcome outcome)
{
    settled_[index] = true;
    report_.outcomes[index] = outcome;
    const std::int64_t offset = request_.recipients[index].offset;
    if (outcome != DeliveryOutcome::deferred && offset >= 0) {
        auto marked = mark_recipient_done(fd(), base_ + offset);
        if (marked && segment_) // it may have got a file meanwhile
            marked = repeat_mark(fd_.get(), offset);
        if (!marked)
            log::warn(fmt::format("{}: cannot mark recipient as done: {}", request_.queue_id,
                                  marked.error().context));
    }
}

void Delivery::mark_as_corrupt() const
{
    (void)mark_corrupt(fd_.get());
}

// A message that has got a file since the request was sent is opened as one.
Result<> Delivery::open(const Spool& spool, LogSegment& last_segment)
{
    TRY(const QueueId id, QueueId::parse(request_.queue_id));
    const auto queue = queue_from_name(request_.queue_name);
    if (!queue)
        return Error{Fault::malformed, "unknown queue " + request_.queue_name};
    if (!request_.log_place.empty()) {
        TRY(const LogPlace place, parse_log_place(request_.log_place));
        auto logged = open_logged(spool, last_segment, place);
        if (logged) {
            segment_ = std::move(logged->segment);
            fd_ = std::move(logged->name);
            base_ = logged->begin;
            size_ = logged->end - logged->begin;
            request_.data_offset += base_;
        } else if (logged.error().fault != Fault::not_found) {
            return logged.error();
        }
    }
    if (!fd_) {
        TRY(OpenQueueFile file, open_queue_file(spool, *queue, id, Access::read_write));
        if (!request_.log_place.empty() && !file.info.is_ready())
            return Error{Fault::refused, "queue file is being written"};
        fd_ = std::move(file.fd);
        size_ = file.info.size;
    }
    TRY(const bool locked, try_lock(fd_.get(), FileLock::shared));
    if (!locked)
        return Error{Fault::refused, "queue file is locked by another process"};
    return {};
}

Result<Envelope> Delivery::read_envelope() const
{
    constexpr std::size_t head = 8192; // bytes; of most messages
    const EnvelopeOptions options{.max_recipients = 0, .block_size = head};
    return segment_ ? bulkhead::read_envelope(fd(), base_, static_cast<std::size_t>(size_), options)
                    : bulkhead::read_envelope(fd(), options);
}

// False: they cannot be read, and all recipients are deferred.
Task<bool> Delivery::read_attributes()
{
    const auto read = [this] { return read_envelope(); };
    auto envelope = co_await offload(read);
    if (!envelope) {
        if (envelope.error().fault == Fault::malformed)
            mark_as_corrupt();
        const DeliveryStatus later(DeliveryOutcome::deferred, "4.3.0",
                                   "queue file read error: " + envelope.error().context);
        co_await settle_rest(later);
        co_return false;
    }
    attributes_ = std::move(envelope->attributes);
    if (!envelope->log_ident.empty())
        attributes_.push_back({"log_ident", std::move(envelope->log_ident)});
    co_return true;
}

Result<> DeliveryAgent::before_jail()
{
    TRY_VOID(agent_params_.load(config()));
    const Milliseconds timeout = common().ipc_timeout();
    bounce_.emplace("private/" + agent_params_.bounce_service(), timeout);
    defer_.emplace("private/" + agent_params_.defer_service(), timeout);
    trace_.emplace("private/" + agent_params_.trace_service(), timeout);
    verify_.emplace("private/" + agent_params_.verify_service(), timeout);
    status_filter_ = TableList::open(status_filter());
    return {};
}

Result<> DeliveryAgent::after_jail()
{
    TRY(Spool spool, open_own_spool(common()));
    spool_.emplace(std::move(spool));
    return {};
}

// RFC 3463, 2: class, subject and detail.
static bool is_status_code(std::string_view word)
{
    const auto parts = split(word, ".");
    return parts.size() == 3 && parts[0].size() == 1 && std::ranges::count(word, '.') == 2 &&
           std::ranges::all_of(parts, [](std::string_view part) {
               return part.size() <= 3 && std::ranges::all_of(part, is_digit);
           });
}

bool replace_status(DeliveryStatus& status, std::string_view rule)
{
    const auto end = std::min(rule.find_first_of(" \t"), rule.size());
    const std::string_view code = rule.substr(0, end);
    const std::string_view text = trim(rule.substr(end));
    const bool succeeds = code.starts_with('2');
    if (!is_status_code(code) || (!succeeds && !code.starts_with('4') && !code.starts_with('5')) ||
        succeeds != (status.outcome == DeliveryOutcome::sent) || text.empty())
        return false;
    status.dsn = code;
    status.reason = text;
    if (!succeeds)
        status.outcome = code.front() == '5' ? DeliveryOutcome::bounced : DeliveryOutcome::deferred;
    return true;
}

Task<> DeliveryAgent::filter_status(DeliveryStatus& status)
{
    if (status_filter_.empty())
        co_return;
    const std::string key = status.dsn + ' ' + status.reason;
    const auto look_up = [&] { return status_filter_.find(key); };
    const Lookup found = co_await ask(status_filter_.may_block(), look_up);
    if (found.is_broken())
        log::warn(fmt::format("delivery status filter: {}", found.reason()));
    else if (found.is_found() && !replace_status(status, found.value()))
        log::warn(fmt::format("delivery status filter: bad result \"{}\" for \"{}\"",
                              printable(found.value()), printable(key)));
}

Task<bool> DeliveryAgent::tell(const Delivery& delivery, const ipc::DeliveryRecipient& recipient,
                               const DeliveryStatus& status)
{
    if (delivery.request_.trace_flags & trace_flag::probe)
        co_return co_await tell_verify(delivery, recipient, status);
    co_return co_await tell_bounce(delivery, recipient, status);
}

// The address that verify was asked about: the recipient may be what it stands for.
static std::string probed_address(const Delivery& delivery, const ipc::DeliveryRecipient& recipient)
{
    for (const auto& [name, value] : delivery.attributes())
        if (name == probe_attribute)
            return value;
    return recipient.original.empty() ? recipient.address : recipient.original;
}

Task<bool> DeliveryAgent::tell_verify(const Delivery& delivery, const ipc::DeliveryRecipient& recipient,
                                      const DeliveryStatus& status)
{
    const ipc::DeliveryRequest& request = delivery.request_;
    ipc::VerifyUpdate update;
    update.address = probed_address(delivery, recipient);
    update.verdict.state = status.outcome == DeliveryOutcome::sent      ? ipc::AddressState::deliverable
                           : status.outcome == DeliveryOutcome::bounced ? ipc::AddressState::undeliverable
                                                                        : ipc::AddressState::deferred;
    update.verdict.text = status.reason;
    update.verdict.dsn = status.dsn;
    const auto kept = co_await ipc::report_probe(*verify_, std::move(update));
    if (!kept)
        log::warn(fmt::format("{}: verify service: {}", request.queue_id, kept.error().context));
    co_return static_cast<bool>(kept);
}

// Which of the three services keeps this recipient's fate, if any.
Task<bool> DeliveryAgent::tell_bounce(const Delivery& delivery, const ipc::DeliveryRecipient& recipient,
                                      const DeliveryStatus& status)
{
    const ipc::DeliveryRequest& request = delivery.request_;
    const bool record = request.trace_flags & trace_flag::record;
    const bool sent = status.outcome == DeliveryOutcome::sent;
    const bool wants_notice = ((recipient.notify & notify::success) && !status.success_notice_passed_on) ||
                              (request.trace_flags & trace_flag::delay_sent);
    if (sent && !is_probe(request) && !record && !wants_notice)
        co_return true;

    ipc::BounceAppend append;
    append.queue_id = request.queue_id;
    RecipientLogEntry& entry = append.entry;
    entry.recipient = external_form(recipient.address);
    if (!recipient.original.empty() && recipient.original != recipient.address)
        entry.original_recipient = external_form(recipient.original);
    if (recipient.offset >= 0)
        entry.offset = recipient.offset;
    entry.dsn_original = recipient.dsn_original;
    entry.notify = recipient.notify;
    entry.status = status.dsn;
    entry.action = !status.action.empty()                       ? status.action
                   : is_probe(request)                          ? (sent ? "deliverable" : "undeliverable")
                   : sent                                       ? "relayed"
                   : status.outcome == DeliveryOutcome::bounced ? "failed"
                                                                : "delayed";
    entry.diagnostic_type = status.diagnostic_type;
    entry.diagnostic_text = status.diagnostic_text;
    if (!status.remote_mta.empty()) {
        entry.remote_mta_type = "dns";
        entry.remote_mta = status.remote_mta;
    }
    entry.reason = status.reason;

    if (sent || is_probe(request) || record) {
        const auto traced = co_await request_bounce(*trace_, encode(append));
        if (!traced)
            log::warn(fmt::format("{}: trace service: {}", request.queue_id, traced.error().context));
        if (sent || is_probe(request))
            co_return static_cast<bool>(traced);
    }
    // A sender who wants no failure notices gets none: nothing to keep.
    if (status.outcome == DeliveryOutcome::bounced && (recipient.notify & notify::never))
        co_return true;
    ipc::Service& service = status.outcome == DeliveryOutcome::bounced ? *bounce_ : *defer_;
    const auto kept = co_await request_bounce(service, encode(append));
    if (!kept)
        log::warn(fmt::format("{}: {} service: {}", request.queue_id,
                              status.outcome == DeliveryOutcome::bounced ? "bounce" : "defer",
                              kept.error().context));
    co_return static_cast<bool>(kept);
}

static double between_times(WallTime from, WallTime to)
{
    return std::max(0.0, to.as_double() - from.as_double());
}

void DeliveryAgent::log_status(const Delivery& delivery, const ipc::DeliveryRecipient& recipient,
                               const DeliveryStatus& status) const
{
    const ipc::DeliveryRequest& request = delivery.request_;
    const WallTime now = WallTime::now();
    // delays=a/b/c/d: before qmgr took it up, in the active queue, connection set-up,
    // transmission.
    const WallTime connected = status.connected.seconds ? status.connected
                               : status.relay == "none" ? now
                                                        : request.handed_over;
    LogLine line(request.queue_id);
    line.address("to", logged_form(recipient.address));
    if (!recipient.original.empty() && !equals_ignoring_case(recipient.original, recipient.address))
        line.address("orig_to", logged_form(recipient.original));
    line("relay", status.relay);
    if (status.connection_uses > 1)
        line("conn_use", status.connection_uses);
    line("delay", format_delay(between_times(request.arrival, now)));
    line("delays",
         fmt::format("{}/{}/{}/{}", format_delay(between_times(request.arrival, request.active_since)),
                     format_delay(between_times(request.active_since, request.handed_over)),
                     format_delay(between_times(request.handed_over, connected)),
                     format_delay(between_times(connected, now))));
    line("dsn", status.dsn);
    const bool sent = status.outcome == DeliveryOutcome::sent;
    line("status", is_probe(request)                            ? (sent ? "deliverable" : "undeliverable")
                   : sent                                       ? "sent"
                   : status.outcome == DeliveryOutcome::bounced ? "bounced"
                                                                : "deferred");
    line.note(status.reason);
    log::info(line.text());
}

Task<ipc::Message> DeliveryAgent::answer(const ipc::Message& message)
{
    auto request = ipc::decode_delivery_request(message);
    if (!request) {
        log::warn(fmt::format("{} request refused: {}", service_name(), request.error().context));
        co_return ipc::failure(request.error().context);
    }
    Delivery delivery;
    delivery.agent_ = this;
    delivery.request_ = std::move(*request);
    delivery.settled_.assign(delivery.request_.recipients.size(), false);
    delivery.report_.outcomes.assign(delivery.request_.recipients.size(), DeliveryOutcome::deferred);

    const auto file = delivery.open(*spool_, last_segment_);
    if (!file) {
        log::warn(
            fmt::format("{}: cannot open queue file: {}", delivery.request_.queue_id, file.error().context));
        co_return ipc::failure(file.error().context);
    }
    delivery.pass_over_done();
    bool proceeds = !delivery.all_settled();
    if (proceeds && (wants_attributes() || is_probe(delivery.request_)))
        proceeds = co_await delivery.read_attributes();
    if (proceeds)
        co_await deliver(delivery);
    const DeliveryStatus forgotten(DeliveryOutcome::deferred, "4.3.0", "delivery agent gave no answer");
    co_await delivery.settle_rest(forgotten);
    co_return encode(delivery.report_);
}

} // namespace bulkhead
