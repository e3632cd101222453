// All recipients of a message are settled: notices, then the file's next place.
// The order survives a crash between any two steps: a notice is durable before its
// log is removed, and the log before the queue file.
#include "qmgr.h"

#include "async/offload.h"
#include "async/wait.h"
#include "ipc/flush.h"
#include "log/log.h"
#include "mail/logged_address.h"
#include "spool/marks.h"
#include "spool/queue_file.h"
#include "spool/recipient_log.h"

#include <algorithm>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{
constexpr int uncertain_limit = 3;
constexpr Milliseconds pause_after_error{5000}; // until a file that could not be moved is tried again
} // namespace

bool Qmgr::has_expired(const ActiveMessage& message) const
{
    if (message.force_expire)
        return true;
    const Seconds lifetime =
        message.envelope.sender.empty() ? params_.bounce_lifetime() : params_.maximal_lifetime();
    return WallTime::now().seconds >= message.envelope.create_time + lifetime.count();
}

void Qmgr::forget(ActiveMessage& message)
{
    probes_ -= message.is_probe();
    partly_read_.erase(&message);
    leave_log(message.id);
    active_.erase(active_.find(message.id.text()));
    after_change();
}

// Asks for the notice that a log is for; true when it is sent, or not owed.
Task<bool> Qmgr::send_notice(const ActiveMessage& message, ipc::Notice notice, Queue log)
{
    if (notice != ipc::Notice::expire) { // that one also speaks for recipients without an entry
        const auto look = [this, &message, log] { return has_recipient_log(*spool_, log, message.id); };
        const auto exists = co_await offload(look);
        if (exists && !*exists)
            co_return true;
    }
    ipc::BounceFlush flush;
    flush.notice = notice;
    flush.queue_name = "active";
    flush.queue_id = message.id.text();
    flush.encoding = message.envelope.encoding;
    flush.sender = message.envelope.sender;
    flush.envelope_id = message.envelope.rare().envelope_id;
    flush.ret_flags = message.envelope.ret_flags;
    flush.send_options = message.envelope.send_options;
    if (message.one_by_one && !params_.disable_verp_bounces())
        flush.verp = message.envelope.rare().verp;
    flush.delay_cleared = (message.envelope.trace_flags & trace_flag::delay_sent) != 0;
    ipc::Service& service = log == Queue::bounce ? *bounce_ : log == Queue::defer ? *defer_ : *trace_;
    const auto sent = co_await request_bounce(service, encode(flush));
    if (!sent)
        log::warn(fmt::format("{}: notice not sent: {}", message.id.text(), sent.error().context));
    co_return static_cast<bool>(sent);
}

Task<> Qmgr::complete(Qmgr* self, ActiveMessage* pointer)
{
    ActiveMessage& message = *pointer;
    bool recipients_left = message.deferred > 0 || message.unread;
    bool notice_owed = false; // keeps the file: it is the proof that somebody must be told
    // Whatever is more than being done with needs a file.
    if (recipients_left || message.uncertain || message.bounced > 0 || !message.fresh ||
        message.wants_trace || message.filing)
        co_await self->need_file(message);
    if (message.uncertain) {
        const int tries = ++self->uncertain_retries_[message.id.text()];
        if (tries < uncertain_limit) {
            co_await self->retry_at_once(message);
            co_return;
        }
    }
    if (message.is_probe()) { // verify asks again when it wants to know
        if (recipients_left && !self->has_expired(message))
            co_await self->defer_message(message);
        else
            co_await self->remove_message(message);
        co_return;
    }
    if (message.bounced > 0 || !message.fresh) {
        const bool sent = co_await self->send_notice(message, ipc::Notice::bounce, Queue::bounce);
        notice_owed |= !sent;
    }
    // Recipients that were done before a crash are not read again, but the report names them.
    if (message.wants_trace || !message.fresh) {
        const bool sent = co_await self->send_notice(message, ipc::Notice::trace, Queue::trace);
        notice_owed |= !sent;
        if (sent && message.wants_trace)
            co_await self->end_trace(message);
    }
    if (recipients_left && self->has_expired(message)) {
        const bool returned = co_await self->send_notice(message, ipc::Notice::expire, Queue::defer);
        if (returned) {
            log::info(fmt::format("{}: from=<{}>, status={}, returned to sender", message.id.text(),
                                  logged_form(message.envelope.sender),
                                  message.force_expire ? "force-expired" : "expired"));
            recipients_left = false;
        }
    }
    if (recipients_left || notice_owed)
        co_await self->defer_message(message);
    else
        co_await self->remove_message(message);
}

Task<> Qmgr::remove_message(ActiveMessage& message)
{
    if (message.in_log) {
        log::info(message.id.text() + ": removed");
        forget(message);
        co_return;
    }
    const auto remove = [this, &message]() -> Result<> {
        if (!message.fresh) // also empty ones, of which there was nothing to tell
            (void)remove_recipient_logs(*spool_, message.id);
        const std::string path = spool_->path_of(Queue::active, message.id);
        return pool_->give(path) ? Result<>() : remove_queue_file(*spool_, path);
    };
    auto removed = co_await offload(remove, &moves_);
    // What stays in active/ would be delivered once more after the next start.
    while (!removed && removed.error().fault != Fault::not_found && !is_draining()) {
        log::error(
            fmt::format("{}: cannot remove queue file: {}", message.id.text(), removed.error().context));
        co_await sleep_for(pause_after_error);
        removed = co_await offload(remove, &moves_);
    }
    if (removed || removed.error().fault == Fault::not_found)
        log::info(message.id.text() + ": removed");
    else
        log::error(
            fmt::format("{}: cannot remove queue file: {}", message.id.text(), removed.error().context));
    uncertain_retries_.erase(message.id.text());
    forget(message);
}

// sendmail -v: one report is all that was asked for.
Task<> Qmgr::end_trace(const ActiveMessage& message)
{
    if (message.envelope.rare().trace_flags_offset == 0)
        co_return;
    const auto strike_out = [this, &message]() -> Result<> {
        TRY(const OpenQueueFile file,
            open_queue_file(*spool_, Queue::active, message.id, Access::read_write));
        return kill_attribute(file.fd.get(), message.envelope.rare().trace_flags_offset);
    };
    const auto struck = co_await offload(strike_out);
    if (!struck)
        log::warn(fmt::format("{}: {}", message.id.text(), struck.error().context));
}

// Before the message is in deferred/: who reads a site's list finds it there later.
Task<> Qmgr::tell_flush(const ActiveMessage& message)
{
    if (message.waiting_sites.empty())
        co_return;
    ipc::FlushAdd add;
    add.queue_id = message.id.text();
    add.sites = message.waiting_sites;
    const ipc::Message request = encode(add);
    const auto answer = co_await flush_->call(request);
    if (!answer && log::verbosity() > 0) // without the service, ETRN has nothing to go by
        log::trace(fmt::format("{}: flush service: {}", message.id.text(), answer.error().context));
}

// An agent died under this message: read the marks again, at once.
Task<> Qmgr::retry_at_once(ActiveMessage& message)
{
    const auto move = [this, &message] {
        return move_queue_file(*spool_, Queue::active, Queue::incoming, message.id);
    };
    const auto moved = co_await offload(move);
    if (!moved) {
        log::warn(fmt::format("{}: {}", message.id.text(), moved.error().context));
        co_await defer_message(message);
        co_return;
    }
    forget(message);
    request_scans(true, false, false);
}

Task<> Qmgr::defer_message(ActiveMessage& message)
{
    const std::int64_t now = WallTime::now().seconds;
    if (message.envelope.warn_time > 0 && now >= message.envelope.warn_time) {
        const bool sent = co_await send_notice(message, ipc::Notice::warn, Queue::defer);
        if (sent) {
            const auto clear = [this, &message]() -> Result<> {
                TRY(const OpenQueueFile file,
                    open_queue_file(*spool_, Queue::active, message.id, Access::read_write));
                return clear_warn_time(file.fd.get(), message.envelope.warn_offset);
            };
            const auto cleared = co_await offload(clear);
            if (!cleared)
                log::warn(fmt::format("{}: {}", message.id.text(), cleared.error().context));
        }
    }
    co_await tell_flush(message);
    // Exponential by age: as long again as the message has waited so far.
    const Seconds age(now - message.envelope.create_time);
    const Seconds delay = std::max(params_.minimal_backoff(), std::min(age, params_.maximal_backoff()));
    const std::int64_t next = now + delay.count();
    if (log::verbosity() > 0)
        log::trace(fmt::format("{}: next attempt in {} seconds", message.id.text(), delay.count()));
    const auto defer = [this, &message, next] {
        return defer_queue_file(*spool_, Queue::active, message.id, next);
    };
    auto place = co_await offload(defer);
    // Nobody else looks into active/: what cannot leave it stays ours until it can.
    while (!place && place.error().fault != Fault::not_found && !is_draining()) {
        log::error(fmt::format("{}: cannot defer: {}", message.id.text(), place.error().context));
        co_await sleep_for(pause_after_error);
        place = co_await offload(defer);
    }
    if (place && *place == Queue::incoming)
        request_scans(true, false, false); // it will see when this one is due
    uncertain_retries_.erase(message.id.text());
    if (next_due_ == 0 || next < next_due_)
        next_due_ = next;
    forget(message);
}

} // namespace bulkhead
