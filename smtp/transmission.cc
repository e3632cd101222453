// The text of a message over the wire, and the replies to its end.
#include "transaction.h"

#include "async/wait.h"
#include "base/text.h"
#include "dialogue.h"

#include <fmt/format.h>

namespace bulkhead
{

using ipc::DeliveryOutcome;
using namespace dialogue;

// A reply that came in while we were still sending: servers say so when they have had
// enough of a message, and close.  The stream is beyond use then, its socket is not.
std::optional<PeerReply> SmtpSession::last_words()
{
    const std::string words(stream_.arrived());
    for (const std::string_view line : split(words, "\n")) {
        const auto complete = parser_.add_line(line);
        if (!complete)
            return std::nullopt;
        if (*complete)
            return parser_.take();
    }
    return std::nullopt;
}

// The block that was fetched early, then those behind it; false with the last.
Task<Result<bool>> SmtpSession::next_block(Transaction& transaction, MessageText& text)
{
    if (!transaction.has_block)
        co_return co_await text.read(stream_.output());
    stream_.write(transaction.block);
    transaction.has_block = false;
    co_return transaction.has_more;
}

// The last lines first, and the end mark after a pause.  A failure shows when that is sent.
Task<> SmtpSession::hold_back_end()
{
    constexpr std::string_view mark = ".\r\n";
    std::string& out = stream_.output();
    if (!out.ends_with(mark))
        co_return;
    out.resize(out.size() - mark.size());
    stream_.set_deadline(SteadyClock::now() + params_.data_xfer_timeout());
    (void)co_await stream_.flush();
    const Milliseconds pause = params_.pix_delay();
    co_await sleep_for(pause);
    stream_.write(mark);
}

Task<> SmtpSession::send_text(Transaction& transaction, MessageText& text)
{
    const SteadyTime begun = SteadyClock::now();
    const auto rate = static_cast<std::size_t>(params_.min_data_rate());
    std::size_t bytes = 0;
    for (bool more = true; more;) {
        const auto block = co_await next_block(transaction, text);
        if (!block) {
            transaction.cannot_read(block.error());
            co_return;
        }
        more = *block;
        transaction.has_sent_text = true;
        bytes += stream_.unsent();
        if (!more && delays_end_)
            co_await hold_back_end();
        // One limit for each block, or one for all with more time for more bytes.
        const Seconds extra{params_.per_request_deadline() ? bytes / rate : 0};
        stream_.set_deadline((params_.per_request_deadline() ? begun : SteadyClock::now()) +
                             params_.data_xfer_timeout() + extra);
        const auto sent = co_await stream_.flush();
        if (!sent) {
            const auto reply = last_words();
            if (reply && !is_yes(*reply))
                transaction.settle_accepted(refused_command(peer_, *reply, "end of DATA"));
            transaction.broke(sent.error(), sending_text);
            co_return;
        }
    }
    if (params_.is_lmtp()) {
        co_await take_ends(transaction);
    } else {
        co_await take_end(transaction);
    }
}

Task<> SmtpSession::take_ends(Transaction& transaction)
{
    for (auto next = transaction.next_accepted(); next; next = transaction.next_accepted()) {
        const auto reply = co_await read_reply(params_.data_done_timeout());
        if (!reply) {
            transaction.broke(reply.error(), sending_end);
            co_return;
        }
        needs_reset_ = false;
        if (is_yes(*reply)) {
            DeliveryStatus status = accepted(peer_, *reply);
            status.success_notice_passed_on = capabilities_.dsn;
            if (!capabilities_.dsn && params_.assume_final())
                status.action = "delivered";
            transaction.settle_one(*next, status);
        } else {
            transaction.settle_one(*next, refused_command(peer_, *reply, "end of DATA"));
        }
        if (reply->code == service_closing) {
            transaction.over = true;
            transaction.settle_accepted(refused_command(peer_, *reply, "end of DATA"));
        }
    }
}

Task<> SmtpSession::take_end(Transaction& transaction)
{
    const auto reply = co_await read_reply(params_.data_done_timeout());
    if (!reply) {
        transaction.broke(reply.error(), sending_end);
        co_return;
    }
    needs_reset_ = false;
    transaction.over = reply->code == service_closing;
    refused_text_ = !is_yes(*reply);
    if (is_yes(*reply)) {
        DeliveryStatus status = accepted(peer_, *reply);
        status.success_notice_passed_on = capabilities_.dsn;
        transaction.settle_accepted(status);
    } else {
        transaction.settle_accepted(refused_command(peer_, *reply, "end of DATA"));
    }
}

// The server wants the text of a message that has no recipient left: it gets none.  LMTP has
// no reply to that.
Task<> SmtpSession::end_empty_text(Transaction& transaction)
{
    if (params_.is_lmtp()) {
        transaction.over = true;
        co_return;
    }
    std::string end = ".";
    const auto reply = co_await ask(std::move(end), params_.data_done_timeout());
    needs_reset_ = false;
    transaction.over = !reply || reply->code == service_closing;
}

} // namespace bulkhead
