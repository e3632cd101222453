#include "pipe.h"

#include "async/offload.h"
#include "base/text.h"
#include "config/values.h"
#include "delivery/service_user.h"
#include "log/log.h"
#include "mail/address.h"
#include "os/jail.h"
#include "spool/envelope.h"
#include "spool/marks.h"

#include <algorithm>

#include <fmt/format.h>

namespace bulkhead
{

using ipc::DeliveryOutcome;

Result<> Pipe::before_jail()
{
    auto attributes = PipeAttributes::parse(arguments());
    if (!attributes)
        return Error{Fault::config,
                     fmt::format("service {}: {}", service_name(), attributes.error().context)};
    attributes_ = std::move(*attributes);
    TRY(user_, service_user(attributes_.user, common().mail_owner()));
    TRY(const std::int64_t limit,
        parse_seconds(config().transport_value(service_name(), "_time_limit"), 's'));
    time_limit_ = Seconds(limit);
    environment_ = exported_environment(params_.export_environment());
    TRY(CommandStarter starter, CommandStarter::create({{}, {user_}, "pipe"}));
    starter_.emplace(std::move(starter));
    set_pool_size(Pool::commands, static_cast<std::size_t>(params_.process_limit()));
    return DeliveryAgent::before_jail();
}

DeliveryStatus Pipe::status_of(DeliveryOutcome outcome, std::string dsn, std::string reason) const
{
    DeliveryStatus status(outcome, std::move(dsn), std::move(reason));
    status.relay = service_name();
    if (outcome == DeliveryOutcome::sent && attributes_.flags.final_delivery)
        status.action = "delivered";
    return status;
}

DeliveryStatus Pipe::status_of(const CommandVerdict& verdict) const
{
    switch (verdict.kind) {
    case CommandVerdict::Kind::delivered:
        return status_of(DeliveryOutcome::sent, "2.0.0",
                         fmt::format("delivered via {} service", service_name()));
    case CommandVerdict::Kind::failed:
        return status_of(DeliveryOutcome::bounced, verdict.dsn, verdict.text);
    case CommandVerdict::Kind::try_later:
        break;
    }
    return status_of(DeliveryOutcome::deferred, verdict.dsn, verdict.text);
}

std::optional<DeliveryStatus> Pipe::known_at_once(const ipc::DeliveryRequest& request) const
{
    if (attributes_.size_limit > 0 && request.content_length > attributes_.size_limit)
        return status_of(DeliveryOutcome::bounced, "5.2.3",
                         fmt::format("message size {} exceeds size limit {} of transport {}",
                                     request.content_length, attributes_.size_limit, service_name()));
    if (attributes_.flags.delivered_to && request.recipients.size() > 1) {
        log::warn(fmt::format("flag D needs {}_destination_recipient_limit = 1", service_name()));
        return status_of(DeliveryOutcome::deferred, "4.3.5", "mail system configuration error");
    }
    if (request.trace_flags & (trace_flag::probe | trace_flag::verify_only))
        return status_of(DeliveryOutcome::sent, "2.0.0",
                         fmt::format("delivers via {} service", service_name()));
    return std::nullopt;
}

// Only who adds Delivered-To: can know from it that the message has been here.
std::optional<DeliveryStatus> Pipe::loop_of(const PipeMessage& message,
                                            const std::vector<std::string>& stops) const
{
    const std::string shown = external_form(message.recipients.front().address);
    if (!attributes_.flags.delivered_to || std::ranges::find(stops, lower(shown)) == stops.end())
        return std::nullopt;
    return status_of(DeliveryOutcome::bounced, "5.4.6", "mail forwarding loop for " + shown);
}

Task<> Pipe::deliver(Delivery& delivery)
{
    const ipc::DeliveryRequest& request = delivery.request();
    auto known = known_at_once(request);
    if (known) {
        co_await delivery.settle_rest(std::move(*known));
        co_return;
    }
    PipeMessage message;
    message.queue_id = request.queue_id;
    message.sender = request.sender;
    message.nexthop = request.nexthop;
    message.envelope_id = request.envelope_id;
    message.size = request.content_length;
    message.attributes = delivery.attributes();
    for (std::size_t i = 0; i < request.recipients.size(); ++i)
        if (!delivery.is_settled(i))
            message.recipients.push_back({request.recipients[i].address, request.recipients[i].original});
    DeliveryStatus status = co_await hand_over(delivery, message);
    co_await delivery.settle_rest(std::move(status));
}

CommandRun Pipe::plan(const Delivery& delivery, const PipeMessage& message,
                      std::vector<std::string> words) const
{
    const PipeFlags& flags = attributes_.flags;
    CommandRun run;
    run.command.user = user_;
    run.command.root = attributes_.root;
    run.command.directory = attributes_.directory;
    run.command.words = std::move(words);
    run.command.environment = environment_;
    run.time_limit = time_limit_;
    run.message.queue_file = delivery.fd();
    run.message.data_offset = delivery.request().data_offset;
    run.message.sender = external_form(message.sender);
    DeliveryHeaders headers;
    const PipeRecipient& first = message.recipients.front();
    if (flags.return_path)
        headers.return_path = run.message.sender;
    if (flags.original_to)
        headers.original = external_form(first.original.empty() ? first.address : first.original);
    if (flags.delivered_to)
        headers.delivered_to = external_form(first.address);
    run.message.headers = headers.text();
    run.form.from_line = flags.from_line;
    run.form.quote_from = flags.quote_from;
    run.form.quote_dots = flags.quote_dots;
    run.form.blank_line_at_end = flags.blank_line_at_end;
    run.form.eol = attributes_.eol;
    return run;
}

Task<DeliveryStatus> Pipe::hand_over(const Delivery& delivery, const PipeMessage& message)
{
    const auto look_back = [&] { return delivered_to(delivery.fd(), delivery.request().data_offset); };
    const auto stops = co_await offload(look_back);
    if (!stops) {
        if (stops.error().fault == Fault::malformed)
            delivery.mark_as_corrupt();
        co_return status_of(DeliveryOutcome::deferred, "4.3.0",
                            "queue file read error: " + stops.error().context);
    }
    auto loop = loop_of(message, *stops);
    if (loop)
        co_return std::move(*loop);
    auto words = command_words(attributes_, message, params_.recipient_delimiter());
    if (!words) {
        log::warn(fmt::format("service {}: {}", service_name(), words.error().context));
        co_return status_of(DeliveryOutcome::deferred, "4.3.5", "mail system configuration error");
    }
    if (log::verbosity() > 0)
        log::trace(
            fmt::format("{}: {} as {}:{}", message.queue_id, fmt::join(*words, " "), user_.uid, user_.gid));
    const std::string program = words->front();
    const CommandRun run = plan(delivery, message, std::move(*words));
    const auto execute = [&] { return run_command(*starter_, run); };
    const auto result = co_await run_on(Pool::commands, execute);
    if (!result) {
        if (result.error().fault == Fault::malformed)
            delivery.mark_as_corrupt();
        co_return status_of(DeliveryOutcome::deferred, "4.3.0", result.error().context);
    }
    const CommandVerdict verdict = verdict_of(*result, program);
    co_return status_of(verdict);
}

} // namespace bulkhead
