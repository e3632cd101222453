#include "cleanup.h"

#include "async/offload.h"
#include "ipc/trace.h"
#include "log/log.h"
#include "mail/address.h"
#include "mail/logged_address.h"
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

// A log is begun when so many messages come in a second: it costs room on the disk, and few
// messages are as well off with files.
constexpr std::size_t log_rate = 20;
constexpr Seconds log_pause{60}; // after it could not be begun
constexpr Milliseconds log_look{1000};
constexpr Milliseconds log_patience{2000}; // then the queue manager is asked again

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
    in_flow_.set_delay(params_.in_flow_delay());
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
    if (in_flow_.is_slow() && !(flags & ipc::cleanup_flag::internal) && !is_draining())
        (void)co_await in_flow_.pause();
    count_message();
    const bool ahead = (flags & ipc::cleanup_flag::ahead) != 0;
    if (ahead && !session.promise) {
        log::warn("request refused: no queue id was lent");
        co_return false;
    }
    auto begun = co_await begin_draft(session);
    if (!begun) {
        log::warn("create queue file: " + begun.error().context);
        const ipc::Message refusal = ipc::encode_cleanup_not_opened(begun.error());
        const auto told = co_await tell(session, refusal);
        co_return static_cast<bool>(told);
    }
    Draft draft = *std::move(begun);
    const std::string queue_id = draft.id.text();
    const bool lends = (flags & ipc::cleanup_flag::client_milters) != 0;
    const bool has_local = (flags & ipc::cleanup_flag::local_milters) && !milters_.local.empty();
    if (lends)
        session.stream.accept_descriptors(ipc::max_lent_milters);
    Assembler message(*policy_, queue_id, flags, WallTime::now(), lends || has_local);
    MessageMilters milters(milters_, queue_id);
    bool in_step = true;
    if (!ahead) {
        const ipc::Message opened = ipc::encode_cleanup_opened(queue_id);
        const auto told = co_await tell(session, opened);
        in_step = static_cast<bool>(told);
    }
    std::optional<Error> fault; // of the disk
    if (in_step)
        in_step = co_await take_records(session, message, milters, draft, fault);
    if (!in_step) {
        co_await discard(draft);
        co_return false;
    }

    Settled settled = co_await settle(message, milters, draft, std::move(fault));
    if (settled.queued)
        announce_later(queue_id);
    settled.result.next_id = lend_id(session);
    const ipc::Message reply = ipc::encode(settled.result);
    const auto sent = co_await tell(session, reply);
    co_return static_cast<bool>(sent);
}

// Until the client says that this was all.
Task<bool> Cleanup::take_records(Session& session, Assembler& message, MessageMilters& milters, Draft& draft,
                                 std::optional<Error>& fault)
{
    for (;;) {
        auto frame = co_await ipc::receive(session.stream);
        if (!frame) {
            if (frame.error().fault == Fault::malformed || frame.error().fault == Fault::limit)
                log::warn(fmt::format("{}: {}", draft.id.text(), frame.error().context));
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
            log::warn(fmt::format("{}: {}", draft.id.text(), taken.error().context));
            co_return false;
        }
        if (frame->kind() != ipc::Kind::cleanup_records) {
            log::warn(draft.id.text() + ": a request in the middle of a message");
            co_return false;
        }
        co_await message.feed(std::move(*frame).take_body());
        if (message.output().size() < spill_size)
            continue;
        if (!fault) {
            const auto has_file = co_await need_file(draft);
            if (!has_file)
                fault = has_file.error();
        }
        const auto spill = [&] { return draft.file->append(message.output()); };
        if (!fault) {
            const auto written = co_await offload(spill);
            if (!written)
                fault = written.error();
        }
        message.output_taken();
    }
}

// Behind the last record, in front of the commit.
Task<Result<>> Cleanup::run_milters(Assembler& message, MessageMilters& milters, Draft& draft, bool local)
{
    CO_TRY_VOID(co_await need_file(draft));
    NewQueueFile& file = *draft.file;
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

Task<Cleanup::Settled> Cleanup::settle(Assembler& message, MessageMilters& milters, Draft& draft,
                                       std::optional<Error> fault)
{
    const std::string queue_id = draft.id.text();
    co_await message.finish();
    const bool local = message.wants_local_milters() && !milters_.local.empty();
    const bool filters = (local || !milters.empty()) && !message.passes_milters();
    if (message.result().ok() && !message.is_discarded() && !fault && filters) {
        const auto filtered = co_await run_milters(message, milters, draft, local);
        if (!filtered)
            fault = filtered.error();
    }
    Settled settled;
    settled.result = message.result();
    settled.result.milters = milters.states();
    if (settled.result.ok() && message.is_discarded()) {
        co_await discard(draft);
        co_return settled;
    }
    if (settled.result.ok() && !fault) {
        const auto stored = co_await store(message, draft);
        settled.queued = stored && draft.file && !message.is_held();
        if (stored)
            co_return settled;
        fault = stored.error();
    }
    if (settled.result.ok()) {
        settled.result = write_failure(queue_id, *fault);
        settled.result.milters = milters.states();
    } else if (message.is_returnable() && !fault) {
        const auto returned = co_await return_to_sender(message, draft);
        if (returned)
            settled.result = ipc::CleanupResult();
        else
            log::warn(fmt::format("{}: not returned: {}", queue_id, returned.error().context));
        if (!returned)
            settled.result.status = ipc::cleanup_status::temporary;
    }
    co_await discard(draft);
    co_return settled;
}

// The message is ours when this returns: in the log if that takes it, else as a file.
Task<Result<>> Cleanup::store(Assembler& message, Draft& draft)
{
    const bool fits = message.output().size() <= max_log_image && message.patch_sizes();
    if (draft.name && !draft.file && fits && !message.is_held()) {
        const std::string_view image = message.output();
        const auto logged = co_await log_->commit(*draft.name, draft.id, std::span(&image, 1));
        const bool is_full = !logged && logged.error().fault == Fault::limit;
        if (!is_full)
            draft.name.reset();
        if (!is_full)
            co_return logged;
    }
    co_return co_await write_rest(message, draft, true);
}

// All that is not written yet, with one call; with `complete` the message is ours
// when this returns.
Task<Result<>> Cleanup::write_rest(Assembler& message, Draft& draft, bool complete)
{
    CO_TRY_VOID(co_await need_file(draft));
    NewQueueFile& file = *draft.file;
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
Task<Result<>> Cleanup::return_to_sender(Assembler& message, Draft& draft)
{
    const std::string queue_id = draft.id.text();
    const std::string reason(reason_for(message.result().status));
    const std::string dsn = message.result().dsn.empty() ? "5.7.1" : message.result().dsn;
    CO_TRY_VOID(co_await write_rest(message, draft, false));
    for (const Assembler::Written& recipient : message.written()) {
        log::info(LogLine(queue_id)
                      .address("to", logged_form(recipient.address))("relay", "none")("delay", "0")(
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
    flush.queue_name = queue_name(draft.file->queue());
    flush.queue_id = queue_id;
    flush.encoding = message.encoding();
    flush.sender = message.sender();
    flush.envelope_id = message.envelope_id();
    flush.ret_flags = message.ret_flags();
    flush.send_options = message.sizes().send_options;
    co_return co_await ipc::request_bounce(*bounce_, ipc::encode(flush));
}

// Removing a file can wait for the disk.
Task<> Cleanup::discard(Draft& draft)
{
    if (draft.name)
        log_->give_back(*std::exchange(draft.name, {}));
    if (!draft.file)
        co_return;
    const auto drop = [&draft] { draft.file.reset(); };
    co_await offload(drop);
}

// ---- the commit log ------------------------------------------------------------------

// Goes back to the log when the session ends without another message.
class Cleanup::Lent
{
public:
    Lent(Cleanup& owner, const LogWriter::Name& name, QueueId id)
        : owner_(owner), name_(name), id_(std::move(id))
    {
    }
    Lent(const Lent&) = delete;
    ~Lent()
    {
        if (name_)
            owner_.take_back(*name_);
    }

    Draft take() { return {.id = std::move(id_), .name = std::exchange(name_, {}), .file = {}}; }

private:
    Cleanup& owner_;
    std::optional<LogWriter::Name> name_;
    QueueId id_;
};

// Where a table could change until that message comes, it is asked for when it does: it may
// have to go to another process.
std::string Cleanup::lend_id(Session& session)
{
    if (!log_ || is_draining() || common().long_queue_ids() || !maps_.empty() || !checks_.empty())
        return {};
    const auto name = log_->borrow_spare();
    if (!name)
        return {};
    QueueId id = QueueId::make(false, WallTime::now(), name->inode);
    std::string text = id.text();
    session.promise = std::make_shared<Lent>(*this, *name, std::move(id));
    return text;
}

void Cleanup::take_back(const LogWriter::Name& name)
{
    log_->give_back(name);
    if (is_draining())
        look_after_log();
    activity_changed();
}

Task<Result<Cleanup::Draft>> Cleanup::begin_draft(Session& session)
{
    if (const auto promise = std::exchange(session.promise, {}))
        co_return std::static_pointer_cast<Lent>(promise)->take();
    Draft draft;
    if (log_ && !is_draining())
        draft.name = log_->borrow();
    if (draft.name) {
        draft.id = QueueId::make(common().long_queue_ids(), WallTime::now(), draft.name->inode);
        co_return std::move(draft);
    }
    const auto reserve = [this] { return store_->reserve(Queue::incoming); };
    CO_TRY(draft.file, co_await offload(reserve, &naming_));
    draft.id = draft.file->id();
    co_return std::move(draft);
}

// The name that the log has lent becomes the message's file.
Task<Result<>> Cleanup::need_file(Draft& draft)
{
    if (draft.file)
        co_return Result<>();
    if (!draft.name)
        co_return Error(Fault::io, "the message has lost its file");
    const std::string path = log_->take_name(*std::exchange(draft.name, {}));
    const auto take = [this, &path, &draft] {
        return NewQueueFile::take_over(*spool_, Queue::incoming, path, draft.id);
    };
    CO_TRY(draft.file, co_await offload(take, &naming_));
    co_return Result<>();
}

void Cleanup::count_message()
{
    if (log_ || beginning_log_ || !params_.commit_log() || is_draining())
        return;
    const SteadyTime now = SteadyClock::now();
    if (now >= rate_start_ + Seconds(1)) {
        rate_start_ = now;
        rate_ = 0;
    }
    if (++rate_ < log_rate || now < log_rest_)
        return;
    beginning_log_ = true;
    scope_.spawn(begin_log, this);
}

Task<> Cleanup::begin_log(Cleanup* self)
{
    const auto begin = [self] { return LogWriter::create(*self->spool_); };
    auto begun = co_await offload(begin);
    self->beginning_log_ = false;
    if (!begun) {
        log::warn("no commit log: " + begun.error().context);
        self->log_rest_ = SteadyClock::now() + log_pause;
        co_return;
    }
    self->log_ = *std::move(begun);
    self->log_->on_durable([self](std::vector<LogPlace> places) {
        ipc::QueueLogged logged;
        logged.places = std::move(places);
        self->scope_.spawn(announce_logged, self, std::move(logged));
    });
    self->log_timer_.start(log_look);
    self->look_after_log();
}

Task<> Cleanup::announce_logged(Cleanup* self, ipc::QueueLogged logged)
{
    ++self->announcements_;
    logged.instance = self->queue_instance_;
    const ipc::Message news = encode(logged);
    const auto answer = co_await self->queue_manager_->call(news);
    const auto taken = answer ? ipc::decode_queue_taken(*answer) : answer.error();
    for (const LogPlace& place : logged.places)
        self->log_->set_told(place, static_cast<bool>(taken));
    if (!taken && log::verbosity() > 0)
        log::trace("queue manager: " + taken.error().context);
    if (taken)
        self->in_flow_.note(taken->is_behind);
    if (logged.again)
        self->reminding_ = false;
    --self->announcements_;
    // Another one knows nothing of what was told before.
    const std::int64_t instance = taken ? taken->instance : self->queue_instance_;
    if (std::exchange(self->queue_instance_, instance) != instance)
        self->remind(Milliseconds(0));
    self->activity_changed();
}

// What the queue manager was told of and has forgotten, because it has died, is told again;
// so is what it could not be told.
void Cleanup::look_after_log()
{
    if (!log_)
        return;
    if (is_draining() && announcements_ == 0 && log_->is_empty()) {
        log_->remove();
        log_.reset();
        activity_changed();
        return;
    }
    log_timer_.start(log_look);
    log_->keep_states();
    remind(log_patience);
    activity_changed();
}

void Cleanup::remind(Milliseconds age)
{
    if (reminding_)
        return;
    ipc::QueueLogged logged;
    logged.again = true;
    logged.places = log_->overdue(age);
    if (logged.places.empty())
        return;
    reminding_ = true;
    scope_.spawn(announce_logged, this, std::move(logged));
}

bool Cleanup::is_idle() const
{
    return announcements_ == 0 && !beginning_log_ && (!log_ || (!is_draining() && log_->is_empty()));
}

void Cleanup::drain()
{
    in_flow_.note(false);
    if (!log_)
        return;
    log_->file_rest();
    look_after_log();
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
        const auto taken = answer ? ipc::decode_queue_taken(*answer) : answer.error();
        if (taken)
            self->in_flow_.note(taken->is_behind);
        if (answer)
            co_return;
        if (log::verbosity() > 0)
            log::trace(fmt::format("{}: queue manager: {}", queue_id, answer.error().context));
        co_await sleep_for(Milliseconds(pause));
    }
    log::warn(fmt::format("{}: the queue manager does not answer", queue_id));
}

} // namespace bulkhead
