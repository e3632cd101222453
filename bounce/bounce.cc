#include "bounce.h"

#include "async/offload.h"
#include "ipc/cleanup.h"
#include "ipc/shown_file.h"
#include "log/log.h"
#include "mail/address.h"
#include "mail/date.h"
#include "mail/notice_templates.h"
#include "mail/verp.h"
#include "os/files.h"
#include "spool/recipient_log.h"
#include "spool/record.h"
#include "worker/spool_of.h"

#include <algorithm>

#include <fmt/format.h>

namespace bulkhead
{

using ipc::Notice;

namespace
{
constexpr std::size_t template_limit = 1 << 20; // bytes
}

Result<> Bounce::before_jail()
{
    auto classes = NotifyClasses::parse(params_.notify_classes());
    if (!classes)
        return Error{Fault::config, fmt::format("{}: notify_classes: {}", config().place("notify_classes"),
                                                classes.error().context)};
    classes_ = *classes;
    double_bounce_sender_ = params_.double_bounce_sender();
    if (!split_address(double_bounce_sender_).has_domain)
        double_bounce_sender_ += '@' + params_.myorigin();
    log_ = service_name() == params_.defer_service()   ? Queue::defer
           : service_name() == params_.trace_service() ? Queue::trace
                                                       : Queue::bounce;
    using namespace ipc::cleanup_flag;
    cleanup_flags_ = internal | map_addresses | rewrite_local;
    if (std::ranges::find(params_.filter_classes(), "bounce") != params_.filter_classes().end())
        cleanup_flags_ |= filter;
    cleanup_.emplace("public/" + params_.cleanup_service(), common().ipc_timeout());
    read_texts_or_warn();
    return {};
}

// A template file with a mistake in it must not keep notices from being sent: our own words
// are better than none.
void Bounce::read_texts_or_warn()
{
    const auto read = read_texts();
    if (read)
        return;
    log::warn(fmt::format("{}: {} -- using the built-in texts", config().place("bounce_template_file"),
                          read.error().context));
    texts_ = {};
}

Result<> Bounce::read_texts()
{
    const std::string& file = params_.template_file();
    if (file.empty())
        return {};
    TRY(const std::string written, read_file(file, template_limit));
    TRY(const BounceTemplates templates, read_templates(written, file));
    for (std::size_t i = 0; i < templates.size(); ++i) {
        const BounceTemplate& each = templates[i];
        if (each.is_own)
            continue;
        NoticeText text;
        text.charset = each.charset;
        text.from = each.from == BounceTemplate().from ? std::string() : each.from;
        text.subject = each.subject;
        text.postmaster_subject = each.postmaster_subject;
        TRY(text.lines, expanded_lines(each, config(), file));
        texts_[i] = std::move(text);
    }
    return {};
}

Result<> Bounce::after_jail()
{
    TRY(Spool spool, open_own_spool(common()));
    spool_.emplace(std::move(spool));
    return {};
}

static Result<> not_ours(ipc::Kind kind)
{
    return Error{Fault::malformed, fmt::format("unexpected request of kind {}", static_cast<int>(kind))};
}

Task<ipc::Message> Bounce::answer(const ipc::Message& request)
{
    Result<> done = not_ours(request.kind());
    if (request.kind() == ipc::Kind::bounce_append) {
        auto wanted = ipc::decode_bounce_append(request);
        if (wanted)
            done = co_await append(std::move(*wanted));
        else
            done = wanted.error();
    } else if (request.kind() == ipc::Kind::bounce_flush) {
        auto wanted = ipc::decode_bounce_flush(request);
        if (wanted)
            done = co_await flush(std::move(*wanted));
        else
            done = wanted.error();
    }
    if (done)
        co_return ipc::Message(ipc::Kind::ok);
    log::warn(fmt::format("{} request failed: {}", service_name(), done.error().context));
    co_return ipc::failure(done.error().context);
}

Task<Result<>> Bounce::append(ipc::BounceAppend request)
{
    const auto append_to_log = [&]() -> Result<> {
        TRY(const QueueId id, QueueId::parse(request.queue_id));
        return append_recipient_log(*spool_, log_, id, {&request.entry, 1}, params_.compatible_logs());
    };
    co_return co_await offload(append_to_log);
}

// Two requests for one message (qmgr lost the connection and asks again) come one
// after the other: the second finds no log.
Task<Result<>> Bounce::flush(ipc::BounceFlush request)
{
    const Queue wanted = request.notice == Notice::bounce  ? Queue::bounce
                         : request.notice == Notice::trace ? Queue::trace
                                                           : Queue::defer;
    if (wanted != log_)
        co_return Error(Fault::malformed,
                        fmt::format("service {} does not make this notice", service_name()));
    const auto turn = co_await flushes_.acquire(request.queue_id);
    co_return co_await flush_alone(request);
}

static bool wants_full_report(const Report& report)
{
    if (report.envelope)
        return report.envelope->trace_flags & (trace_flag::verify_only | trace_flag::record);
    return std::ranges::any_of(report.entries, [](const RecipientLogEntry& entry) {
        return entry.action == "deliverable" || entry.action == "undeliverable";
    });
}

Task<Result<>> Bounce::flush_alone(const ipc::BounceFlush& request)
{
    const auto read = [&] { return read_report(*spool_, log_, request); };
    CO_TRY(const Report report, co_await offload(read));
    const std::string& id = report.id.text();
    if (!report.trouble.empty())
        log::warn(fmt::format("{}: notice without the original message: {}", id, report.trouble));

    const std::vector<unsigned> masks = report.notify_masks();
    NoticeCase facts;
    facts.notice = request.notice;
    facts.sender = request.sender;
    facts.double_bounce_sender = double_bounce_sender_;
    facts.classes = classes_;
    facts.wants_full_report = wants_full_report(report);
    facts.notify = masks;
    facts.delay_cleared = request.delay_cleared;
    facts.one_by_one = !request.verp.empty();
    const NoticePlan plan = plan_notices(facts);
    CO_TRY_VOID(co_await send_all(request, report, plan));
    if (plan.is_loop)
        log::warn(fmt::format("{}: {}", id, plan.discarded));
    else if (!plan.discarded.empty())
        log::info(fmt::format("{}: {}", id, plan.discarded));
    if (request.notice == Notice::warn)
        co_return Result<>();

    const auto forget = [&] {
        if (request.notice == Notice::expire)
            mark_all_done(report);
        return remove_recipient_log(*spool_, log_, report.id);
    };
    co_return co_await offload(forget);
}

Task<Result<>> Bounce::send_all(const ipc::BounceFlush& request, const Report& report, const NoticePlan& plan)
{
    for (const PlannedNotice& planned : plan.notices) {
        const auto new_id = co_await send(request, report, planned);
        const std::string_view what = log_text(planned);
        if (new_id)
            log::info(fmt::format("{}: {}: {}", report.id.text(), what, *new_id));
        else if (planned.is_copy)
            log::warn(fmt::format("{}: {} not sent: {}", report.id.text(), what, new_id.error().context));
        else
            co_return Error(new_id.error().fault, fmt::format("{}: {} not sent: {}", report.id.text(), what,
                                                              new_id.error().context));
    }
    co_return Result<>();
}

// Addresses of the log are in external form; one that does not parse is shown as it is.
static std::string internal_form(const std::string& external)
{
    auto internal = unquote(external);
    return internal ? std::move(*internal) : external;
}

static NoticeRecipient notice_recipient(const RecipientLogEntry& entry, Notice notice,
                                        std::int64_t retry_until)
{
    NoticeRecipient shown;
    shown.final_recipient = internal_form(entry.recipient);
    shown.original_recipient = entry.dsn_original;
    if (shown.original_recipient.empty() && !entry.original_recipient.empty())
        shown.original_recipient = "rfc822;" + internal_form(entry.original_recipient);
    shown.action = notice == Notice::expire ? "failed" : entry.action;
    shown.status = entry.status;
    shown.diagnostic_type = entry.diagnostic_type;
    shown.diagnostic_text = entry.diagnostic_text;
    shown.remote_type = entry.remote_mta_type;
    shown.remote_name = entry.remote_mta;
    shown.reason = entry.reason;
    if (notice == Notice::warn)
        shown.retry_until = retry_until;
    return shown;
}

const std::string& Bounce::postmaster_for(const PlannedNotice& planned) const
{
    return planned.double_bounce               ? params_.double_bounce_recipient()
           : planned.kind == NoticeKind::delay ? params_.delay_recipient()
                                               : params_.bounce_recipient();
}

DeliveryNotice Bounce::describe(const ipc::BounceFlush& request, const Report& report,
                                const PlannedNotice& planned) const
{
    DeliveryNotice notice;
    notice.kind = planned.kind;
    const auto& text = texts_[static_cast<std::size_t>(planned.kind)];
    notice.text = text ? &*text : nullptr;
    notice.obsolete_from = params_.header_from_format() == "obsolete";
    notice.for_postmaster = planned.to_postmaster;
    notice.double_bounce = planned.double_bounce;
    notice.mail_name = common().mail_name();
    notice.myhostname = common().myhostname();
    notice.to = planned.to_postmaster ? postmaster_for(planned) : request.sender;
    if (planned.to_variable_sender)
        notice.to = verp_sender(request.sender, request.verp,
                                internal_form(report.entries[planned.recipients.front()].recipient));
    notice.queue_id = report.id.text();
    notice.sender = request.sender;
    notice.envelope_id = planned.to_postmaster ? std::string() : request.envelope_id;
    notice.now = WallTime::now().seconds;
    std::int64_t give_up = 0;
    if (report.envelope) {
        const Envelope& envelope = *report.envelope;
        notice.arrival_time = envelope.arrival.seconds;
        notice.original_size = static_cast<std::uint64_t>(std::max<std::int64_t>(envelope.message_size(), 0));
        const std::int64_t begin = envelope.create_time > 0 ? envelope.create_time : envelope.arrival.seconds;
        give_up = begin + params_.queue_lifetime().count();
        if (params_.threaded())
            notice.message_id = ipc::find_message_id(report.file.get(), envelope.sizes.data_offset);
    }
    for (const std::size_t index : planned.recipients)
        notice.recipients.push_back(notice_recipient(report.entries[index], request.notice, give_up));
    // RFC 3461, 4.3: RET speaks of failures only; everything else returns headers.
    notice.headers_only =
        planned.kind != NoticeKind::failure || planned.is_copy || request.ret_flags == dsn_ret::headers;
    notice.original_is_8bit = request.encoding == "8bit";
    notice.smtputf8 = (request.send_options & send_option::smtputf8_requested) != 0;
    notice.size_limit = static_cast<std::uint64_t>(params_.size_limit());
    return notice;
}

std::string Bounce::envelope_records(const PlannedNotice& planned, const DeliveryNotice& notice,
                                     const std::string& new_id) const
{
    const WallTime now = WallTime::now();
    std::string records;
    append_record(records, RecordType::arrival_time, fmt::format("{} {}", now.seconds, now.microseconds));
    append_attribute(records, "rewrite_context", "local");
    append_record(records, RecordType::sender,
                  planned.to_postmaster ? std::string_view(double_bounce_sender_) : "");
    append_attribute(records, "encoding", is_8bit_notice(notice) ? "8bit" : "7bit");
    append_record(records, RecordType::recipient, notice.to);
    append_record(records, RecordType::message_start, "");
    append_text(records, fmt::format("Received: by {} ({})", common().myhostname(), common().mail_name()));
    append_text(records, fmt::format("\tid {}; {}", new_id, rfc5322_date(now.seconds)));
    return records;
}

// The new message's queue id, once it is durable.
Task<Result<std::string>> Bounce::send(const ipc::BounceFlush& request, const Report& report,
                                       const PlannedNotice& planned)
{
    const DeliveryNotice notice = describe(request, report, planned);
    const auto compose = [&] {
        std::string content;
        for (const std::string& line : compose_notice(notice, original_lines(report)))
            append_text(content, line);
        append_record(content, RecordType::extracted_start, "");
        append_record(content, RecordType::end, "");
        return content;
    };
    const std::string content = co_await offload(compose);

    unsigned flags = cleanup_flags_ | ipc::cleanup_flag::internal;
    if (request.send_options & send_option::smtputf8_requested)
        flags |= ipc::cleanup_flag::smtputf8;
    CO_TRY(ipc::CleanupStream stream, co_await ipc::CleanupStream::open(*cleanup_, flags));
    stream.records() += envelope_records(planned, notice, stream.queue_id());
    stream.records() += content;
    CO_TRY_VOID(co_await stream.send_some());
    CO_TRY(const ipc::CleanupResult result, co_await stream.finish());
    if (!result.ok()) {
        const ipc::CleanupVerdict verdict = verdict_of(result);
        co_return Error(Fault::refused, result.reason.empty() ? std::string(verdict.text) : result.reason);
    }
    co_return stream.queue_id();
}

} // namespace bulkhead
