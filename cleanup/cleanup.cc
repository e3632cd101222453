#include "cleanup.h"

#include "async/offload.h"
#include "ipc/qmgr.h"
#include "ipc/trace.h"
#include "log/log.h"
#include "mail/address.h"
#include "os/jail.h"
#include "worker/spool_of.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace bulkhead
{

namespace
{

// A message up to this size is written with one call when it is complete; a larger
// one in pieces of this size.
constexpr std::size_t spill_size = 256 * 1024;

// The queue manager scans incoming/ anyway: an announcement that nobody takes is late
// mail, not lost mail.
constexpr std::array<int, 4> announcement_pauses = {50, 500, 2000, 5000}; // milliseconds
constexpr Milliseconds announcement_timeout{30'000};
constexpr std::size_t max_announcements = 500; // under way at once

class RewriteService final : public AddressCompleter
{
public:
    explicit RewriteService(const std::string& service) : client_(service) {}
    Task<Result<std::string>> complete(ipc::RewriteContext context, std::string address) override
    {
        co_return co_await client_.rewrite(context, std::move(address));
    }

private:
    ipc::RewriteClient client_;
};

ipc::CleanupResult write_failure(const std::string& queue_id, const Error& error)
{
    log::warn(fmt::format("{}: write queue file: {}", queue_id, error.context));
    ipc::CleanupResult result;
    result.status = ipc::cleanup_status::write_error;
    if (error.number == ENOSPC || error.number == EDQUOT) {
        result.dsn = ipc::disk_full_dsn;
        result.reason = "Insufficient system storage";
    }
    return result;
}

// What the sender of refused local mail is told.
std::string_view reason_for(unsigned status)
{
    if (status & ipc::cleanup_status::too_big)
        return "message file too big";
    if (status & ipc::cleanup_status::too_many_hops)
        return "too many hops";
    return "message content rejected";
}

} // namespace

Result<> Cleanup::before_jail()
{
    TRY(maps_, AddressMaps::open(params_));
    ContentChecks::Specs checks;
    checks.header = params_.header_checks();
    checks.mime = params_.mime_header_checks();
    checks.nested = params_.nested_header_checks();
    checks.body = params_.body_checks();
    checks_ = ContentChecks::open(checks);
    checks = {};
    checks.header = params_.milter_header_checks();
    checks.allowed = milter_check_actions;
    milters_.header_checks = ContentChecks::open(checks);
    TRY(milters_.local, milter::parse_milters(params_.non_smtpd_milters(), params_.milter));
    milter::resolve(milters_.local);
    if (std::ranges::any_of(milters_.local, [](const auto& one) { return one.path.empty(); }))
        allow_network_in_jail();
    milters_.macros = milter::Macros::from(params_.milter);
    milters_.myhostname = common().myhostname();
    milters_.daemon_name = params_.milter.daemon_name();
    milters_.macro_v = params_.milter.macro_v();
    strip_ = CharacterSet::parse(params_.strip_characters());
    reject_ = CharacterSet::parse(params_.reject_characters());
    return {};
}

Result<> Cleanup::after_jail()
{
    TRY(spool_, open_own_spool(common()));
    NewFileOptions options;
    options.long_id = common().long_queue_ids();
    options.pool = &pool_.emplace(*spool_);
    store_.emplace(*spool_, options);
    completer_ = std::make_unique<RewriteService>("private/" + params_.rewrite_service());
    policy_.emplace(AssemblyPolicy{params_, maps_, *completer_, common().myhostname(), &checks_,
                                   strip_.empty() ? nullptr : &strip_, reject_.empty() ? nullptr : &reject_});
    queue_manager_.emplace("public/" + params_.queue_service(), announcement_timeout);
    bounce_.emplace("private/" + params_.bounce_service());
    return {};
}

bool Cleanup::must_hand_over()
{
    if (!maps_.is_stale() && !checks_.is_stale() && !milters_.header_checks.is_stale())
        return false;
    log::info("a table has changed -- restarting");
    return true;
}

// Only conversations that begin with cleanup_open are ours: see converse().
Task<ipc::Message> Cleanup::answer(const ipc::Message&)
{
    co_return ipc::failure("cleanup takes messages only");
}

Task<bool> Cleanup::converse(Session& session, ipc::Message request)
{
    const auto flags = request.kind() == ipc::Kind::cleanup_open
                           ? ipc::decode_cleanup_open(request)
                           : Result<unsigned>(Error(Fault::malformed, "cleanup takes messages only"));
    if (!flags) {
        log::warn("request refused: " + flags.error().context);
        const ipc::Message refusal = ipc::failure(flags.error().context);
        (void)co_await tell(session, refusal);
        co_return false;
    }
    co_return co_await take_message(session, *flags);
}

Task<bool> Cleanup::take_message(Session& session, unsigned flags)
{
    const auto reserve = [this] { return store_->reserve(Queue::incoming); };
    auto file = co_await offload(reserve, &naming_);
    if (!file) {
        log::warn("create queue file: " + file.error().context);
        const ipc::Message refusal = ipc::encode_cleanup_not_opened(file.error());
        const auto told = co_await tell(session, refusal);
        co_return static_cast<bool>(told);
    }
    const std::string queue_id = file->id().text();
    const bool lends = (flags & ipc::cleanup_flag::client_milters) != 0;
    const bool has_local = (flags & ipc::cleanup_flag::local_milters) && !milters_.local.empty();
    if (lends)
        session.stream.accept_descriptors(ipc::max_lent_milters);
    Assembler message(*policy_, queue_id, flags, WallTime::now(), lends || has_local);
    MessageMilters milters(milters_, queue_id);
    const ipc::Message opened = ipc::encode_cleanup_opened(queue_id);
    const auto told = co_await tell(session, opened);
    bool in_step = static_cast<bool>(told);
    std::optional<Error> fault; // of the disk
    if (in_step)
        in_step = co_await take_records(session, message, milters, *file, fault);
    if (!in_step) {
        co_await discard(*std::move(file));
        co_return false;
    }

    const Settled settled = co_await settle(message, milters, *std::move(file), std::move(fault));
    const ipc::Message reply = ipc::encode(settled.result);
    const auto sent = co_await tell(session, reply);
    if (settled.queued)
        announce_later(queue_id);
    co_return static_cast<bool>(sent);
}

// Until the client says that this was all.
Task<bool> Cleanup::take_records(Session& session, Assembler& message, MessageMilters& milters,
                                 NewQueueFile& file, std::optional<Error>& fault)
{
    for (;;) {
        auto frame = co_await ipc::receive(session.stream);
        if (!frame) {
            if (frame.error().fault == Fault::malformed || frame.error().fault == Fault::limit)
                log::warn(fmt::format("{}: {}", file.id().text(), frame.error().context));
            co_return false;
        }
        ipc::trace_received("client", *frame);
        if (frame->kind() == ipc::Kind::cleanup_finish) {
            message.add_flags(ipc::decode_cleanup_finish(*frame));
            co_return true;
        }
        if (frame->kind() == ipc::Kind::cleanup_milters) {
            const auto states = ipc::decode_cleanup_milters(*frame);
            const auto taken = states ? milters.take_over(*states, session.stream.take_descriptors())
                                      : Result<>(states.error());
            if (taken)
                continue;
            log::warn(fmt::format("{}: {}", file.id().text(), taken.error().context));
            co_return false;
        }
        if (frame->kind() != ipc::Kind::cleanup_records) {
            log::warn(file.id().text() + ": a request in the middle of a message");
            co_return false;
        }
        co_await message.feed(std::move(*frame).take_body());
        if (message.output().size() < spill_size)
            continue;
        const auto spill = [&] { return file.append(message.output()); };
        if (!fault) {
            const auto written = co_await offload(spill);
            if (!written)
                fault = written.error();
        }
        message.output_taken();
    }
}

// Behind the last record, in front of the commit.
Task<Result<>> Cleanup::run_milters(Assembler& message, MessageMilters& milters, NewQueueFile& file,
                                    bool local)
{
    if (local)
        co_await milters.open_local(message);
    if (milters.empty())
        co_return Result<>();
    if (file.size() > 0) { // what filters read is whole then
        const auto spill = [&] { return file.append(message.output()); };
        CO_TRY_VOID(co_await offload(spill));
        message.output_taken();
    }
    co_return co_await milters.run(message, file);
}

Task<Cleanup::Settled> Cleanup::settle(Assembler& message, MessageMilters& milters, NewQueueFile file,
                                       std::optional<Error> fault)
{
    const std::string queue_id = file.id().text();
    co_await message.finish();
    const bool local = message.wants_local_milters() && !milters_.local.empty();
    const bool filters = (local || !milters.empty()) && !message.passes_milters();
    if (message.result().ok() && !message.is_discarded() && !fault && filters) {
        const auto filtered = co_await run_milters(message, milters, file, local);
        if (!filtered)
            fault = filtered.error();
    }
    Settled settled;
    settled.result = message.result();
    settled.result.milters = milters.states();
    if (settled.result.ok() && message.is_discarded()) {
        co_await discard(std::move(file));
        co_return settled;
    }
    if (settled.result.ok() && !fault) {
        const auto stored = co_await write_rest(message, file, true);
        settled.queued = stored && !message.is_held();
        if (stored)
            co_return settled;
        fault = stored.error();
    }
    if (settled.result.ok()) {
        settled.result = write_failure(queue_id, *fault);
        settled.result.milters = milters.states();
    } else if (message.is_returnable() && !fault) {
        const auto returned = co_await return_to_sender(message, file);
        if (returned)
            settled.result = ipc::CleanupResult();
        else
            log::warn(fmt::format("{}: not returned: {}", queue_id, returned.error().context));
        if (!returned)
            settled.result.status = ipc::cleanup_status::temporary;
    }
    co_await discard(std::move(file));
    co_return settled;
}

// All that is not written yet, with one call; with `complete` the message is ours
// when this returns.
Task<Result<>> Cleanup::write_rest(Assembler& message, NewQueueFile& file, bool complete)
{
    std::string late_sizes;
    if (!message.patch_sizes())
        append_size_record(late_sizes, message.sizes());
    const bool hold = message.is_held();
    const auto write = [&]() -> Result<> {
        TRY_VOID(file.append(message.output()));
        if (!late_sizes.empty())
            TRY_VOID(file.patch(0, late_sizes));
        if (!complete)
            return {};
        if (hold)
            TRY_VOID(file.put_on_hold());
        TRY(const QueueId id, std::move(file).commit());
        return {};
    };
    co_return co_await offload(write);
}

// Nobody waits for the answer, so the sender gets the message back.  The bounce
// service reads it from the file, which never becomes complete.
Task<Result<>> Cleanup::return_to_sender(Assembler& message, NewQueueFile& file)
{
    const std::string queue_id = file.id().text();
    const std::string reason(reason_for(message.result().status));
    const std::string dsn = message.result().dsn.empty() ? "5.7.1" : message.result().dsn;
    CO_TRY_VOID(co_await write_rest(message, file, false));
    for (const Assembler::Written& recipient : message.written()) {
        log::info(LogLine(queue_id)
                      .address("to", external_form(recipient.address))("relay", "none")("delay", "0")(
                          "dsn", dsn)("status", "bounced")
                      .note(reason)
                      .text());
        ipc::BounceAppend append;
        append.queue_id = queue_id;
        append.entry.recipient = external_form(recipient.address);
        append.entry.original_recipient = recipient.original;
        append.entry.offset = recipient.offset;
        append.entry.dsn_original = recipient.dsn_original;
        append.entry.notify = recipient.notify;
        append.entry.status = dsn;
        append.entry.action = "failed";
        append.entry.reason = reason;
        CO_TRY_VOID(co_await ipc::request_bounce(*bounce_, ipc::encode(append)));
    }
    ipc::BounceFlush flush;
    flush.notice = ipc::Notice::bounce;
    flush.queue_name = queue_name(file.queue());
    flush.queue_id = queue_id;
    flush.encoding = message.encoding();
    flush.sender = message.sender();
    flush.envelope_id = message.envelope_id();
    flush.ret_flags = message.ret_flags();
    flush.send_options = message.sizes().send_options;
    co_return co_await ipc::request_bounce(*bounce_, ipc::encode(flush));
}

// Removing a file can wait for the disk.
Task<> Cleanup::discard(NewQueueFile file)
{
    const auto drop = [&file] { const NewQueueFile gone(std::move(file)); };
    co_await offload(drop);
}

void Cleanup::announce_later(const std::string& queue_id)
{
    if (announcements_ >= max_announcements) {
        unannounced_ = true;
        return;
    }
    ++announcements_;
    scope_.spawn(announce, this, queue_id);
}

Task<> Cleanup::announce(Cleanup* self, std::string queue_id)
{
    struct Count {
        Cleanup& owner;
        ~Count()
        {
            --owner.announcements_;
            if (std::exchange(owner.unannounced_, false))
                owner.announce_later(""); // all that were passed over at once
            owner.activity_changed();
        }
    };
    const Count count{*self};
    const ipc::Message arrival = ipc::encode_queue_arrival(queue_id);
    for (const int pause : announcement_pauses) {
        const auto answer = co_await self->queue_manager_->call(arrival);
        if (answer)
            co_return;
        if (log::verbosity() > 0)
            log::trace(fmt::format("{}: queue manager: {}", queue_id, answer.error().context));
        co_await sleep_for(Milliseconds(pause));
    }
    log::warn(fmt::format("{}: the queue manager does not answer", queue_id));
}

} // namespace bulkhead
