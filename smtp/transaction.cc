// MAIL to the reply to the end of the text, and what the replies mean for each recipient.
#include "transaction.h"

#include "dialogue.h"

#include <algorithm>

#include <fmt/format.h>

namespace bulkhead
{

using ipc::DeliveryOutcome;
using namespace dialogue;

void SmtpSession::Transaction::settle_rest(const DeliveryStatus& status)
{
    for (auto& one : statuses)
        if (!one)
            one = status;
    accepted.assign(accepted.size(), false);
}

void SmtpSession::Transaction::broke(const Error& error, std::string_view doing)
{
    over = true;
    // A kept connection may have been closed before we spoke: that is no news about
    // the message, as long as none of it was sent.
    stale = reused && !has_sent_text && error.fault == Fault::closed;
    settle_rest(broken_conversation(peer, error, doing));
}

void SmtpSession::Transaction::cannot_read(const Error& error)
{
    over = true;
    settle_rest(DeliveryStatus(DeliveryOutcome::deferred, "4.3.0", "cannot read message: " + error.context));
}

bool SmtpSession::Transaction::closed_by(const PeerReply& reply, std::string_view command)
{
    if (reply.code != service_closing)
        return false;
    over = true;
    stale = reused && !has_sent_text;
    settle_rest(refused_command(peer, reply, command));
    return true;
}

bool SmtpSession::Transaction::was_reset(const PeerReply& reply)
{
    over = stale = !is_yes(reply);
    return !over;
}

void SmtpSession::Transaction::take_mail(const PeerReply& reply)
{
    if (closed_by(reply, "MAIL FROM"))
        return;
    mail_accepted = is_yes(reply);
    if (mail_accepted)
        return;
    // Some servers limit the messages of one connection: a fresh one decides.
    if (reused && !reply.permanent()) {
        over = stale = true;
        return;
    }
    settle_rest(refused_command(peer, reply, "MAIL FROM"));
}

void SmtpSession::Transaction::take_rcpt(std::size_t index, const PeerReply& reply)
{
    if (closed_by(reply, "RCPT TO") || statuses[index])
        return;
    if (!is_yes(reply)) {
        statuses[index] = refused_command(peer, reply, "RCPT TO");
        return;
    }
    if (probe == Probe::until_rcpt)
        statuses[index] = bulkhead::accepted(peer, reply);
    else
        accepted[index] = true;
    if (probe == Probe::until_data)
        agreed[index] = bulkhead::accepted(peer, reply);
}

void SmtpSession::Transaction::take_data(const PeerReply& reply)
{
    if (closed_by(reply, "DATA"))
        return;
    go_ahead = is_go_ahead(reply);
    if (!go_ahead)
        settle_accepted(refused_command(peer, reply, "DATA"));
    else if (probe == Probe::until_data && any_accepted())
        end_probe();
}

// The server waits for a text.  Nothing but the end of the connection tells it that there is none:
// an end mark would be a message.
void SmtpSession::Transaction::end_probe()
{
    over = true;
    for (std::size_t i = 0; i < statuses.size(); ++i)
        if (accepted[i])
            settle_one(i, agreed[i]);
}

std::optional<std::size_t> SmtpSession::Transaction::next_accepted() const
{
    const auto next = std::ranges::find(accepted, true);
    if (next == accepted.end())
        return std::nullopt;
    return static_cast<std::size_t>(next - accepted.begin());
}

void SmtpSession::Transaction::settle_one(std::size_t index, const DeliveryStatus& status)
{
    statuses[index] = status;
    accepted[index] = false;
}

void SmtpSession::Transaction::settle_accepted(const DeliveryStatus& status)
{
    for (std::size_t i = 0; i < statuses.size(); ++i)
        if (accepted[i])
            statuses[i] = status;
    accepted.assign(accepted.size(), false);
}

// PIPELINING (RFC 2920): the whole envelope in one write; then one reply for each
// command, whatever the earlier ones were.
Task<> SmtpSession::send_envelope(Transaction& transaction, MessageText& text)
{
    const OutgoingEnvelope& envelope = transaction.envelope;
    const bool reset_first = needs_reset_;
    const bool with_data = transaction.probe != Transaction::Probe::until_rcpt;
    if (reset_first)
        say("RSET");
    say(mail_command(envelope));
    for (const std::size_t index : envelope.recipients)
        say(rcpt_command(envelope, index));
    if (with_data)
        say("DATA");
    needs_reset_ = true;
    stream_.set_deadline(SteadyClock::now() + params_.mail_timeout());
    const auto sent = co_await stream_.flush();
    if (!sent) {
        transaction.broke(sent.error(), sending_mail);
        co_return;
    }
    if (transaction.probe == Transaction::Probe::no) {
        const auto more = co_await text.read(transaction.block);
        if (!more) {
            transaction.cannot_read(more.error());
            co_return;
        }
        transaction.has_block = true;
        transaction.has_more = *more;
    }

    if (reset_first) {
        const auto reply = co_await read_reply(params_.rset_timeout());
        if (!reply) {
            transaction.broke(reply.error(), sending_reset);
            co_return;
        }
        if (!transaction.was_reset(*reply))
            co_return;
    }
    const auto mail_reply = co_await read_reply(params_.mail_timeout());
    if (!mail_reply) {
        transaction.broke(mail_reply.error(), sending_mail);
        co_return;
    }
    transaction.take_mail(*mail_reply);
    for (std::size_t i = 0; i < envelope.recipients.size() && !transaction.over; ++i) {
        const auto reply = co_await read_reply(params_.rcpt_timeout());
        if (!reply) {
            transaction.broke(reply.error(), sending_rcpt);
            co_return;
        }
        transaction.take_rcpt(i, *reply);
    }
    if (!with_data || transaction.over)
        co_return;
    const auto data_reply = co_await read_reply(params_.data_init_timeout());
    if (!data_reply)
        transaction.broke(data_reply.error(), sending_data);
    else
        transaction.take_data(*data_reply);
}

// A server without PIPELINING: one command, one reply, and none that cannot help.
Task<> SmtpSession::send_envelope_in_steps(Transaction& transaction)
{
    const OutgoingEnvelope& envelope = transaction.envelope;
    if (needs_reset_) {
        const auto reply = co_await ask("RSET", params_.rset_timeout());
        if (!reply) {
            transaction.broke(reply.error(), sending_reset);
            co_return;
        }
        if (!transaction.was_reset(*reply))
            co_return;
    }
    std::string mail = mail_command(envelope);
    const auto mail_reply = co_await ask(std::move(mail), params_.mail_timeout());
    if (!mail_reply) {
        transaction.broke(mail_reply.error(), sending_mail);
        co_return;
    }
    transaction.take_mail(*mail_reply);
    if (transaction.over || !transaction.mail_accepted)
        co_return;
    needs_reset_ = true;
    for (std::size_t i = 0; i < envelope.recipients.size() && !transaction.over; ++i) {
        std::string rcpt = rcpt_command(envelope, envelope.recipients[i]);
        const auto reply = co_await ask(std::move(rcpt), params_.rcpt_timeout());
        if (!reply) {
            transaction.broke(reply.error(), sending_rcpt);
            co_return;
        }
        transaction.take_rcpt(i, *reply);
    }
    if (transaction.over || transaction.probe == Transaction::Probe::until_rcpt ||
        !transaction.any_accepted())
        co_return;
    const auto reply = co_await ask("DATA", params_.data_init_timeout());
    if (!reply)
        transaction.broke(reply.error(), sending_data);
    else
        transaction.take_data(*reply);
}

Task<TransactionResult> SmtpSession::transact(const OutgoingEnvelope& envelope, MessageText& text)
{
    Transaction transaction(envelope, peer_, uses_ > 0);
    if (envelope.is_probe())
        transaction.probe = params_.verify_target() == verify_until_data ? Transaction::Probe::until_data
                                                                         : Transaction::Probe::until_rcpt;
    ++uses_;
    if (const auto reason = unsuitable(*envelope.request)) {
        transaction.settle_rest(*reason);
    } else {
        co_await forward_client(transaction);
        if (transaction.over) {
            // nothing more to say
        } else if (capabilities_.pipelining) {
            co_await send_envelope(transaction, text);
        } else {
            co_await send_envelope_in_steps(transaction);
        }
        if (transaction.go_ahead && !transaction.over) {
            if (transaction.any_accepted()) {
                co_await send_text(transaction, text);
            } else {
                co_await end_empty_text(transaction);
            }
        }
        // Bytes that nobody asked for: the next reply would be read wrongly.
        in_step_ = !transaction.over && stream_.buffered().empty() && !parser_.in_progress();
    }

    TransactionResult result;
    result.stale = transaction.stale;
    for (auto& status : transaction.statuses)
        result.statuses.push_back(status ? *std::move(status)
                                         : DeliveryStatus(DeliveryOutcome::deferred, "4.3.0", "no answer"));
    co_return result;
}

} // namespace bulkhead
