// The state of one transaction: which recipients are settled, and what may follow.
#pragma once

#include "session.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

struct SmtpSession::Transaction {
    Transaction(const OutgoingEnvelope& mail, const Peer& to, bool on_kept_connection)
        : envelope(mail), peer(to), reused(on_kept_connection), statuses(mail.recipients.size()),
          accepted(mail.recipients.size(), false), agreed(mail.recipients.size())
    {
    }

    const OutgoingEnvelope& envelope;
    const Peer& peer;
    bool reused;
    std::vector<std::optional<DeliveryStatus>> statuses;
    std::vector<bool> accepted;
    bool mail_accepted = false;
    bool go_ahead = false;      // the server waits for the text
    bool has_sent_text = false; // some of it
    bool over = false;          // nothing more to say on this connection
    bool stale = false;
    // A verification probe goes so far, and no text with it.
    enum class Probe { no, until_rcpt, until_data } probe = Probe::no;
    std::vector<DeliveryStatus> agreed; // of a probe until DATA: what RCPT was answered
    std::string block;                  // the first block of the text, fetched while the server thinks
    bool has_block = false;
    bool has_more = true;

    bool any_accepted() const { return next_accepted().has_value(); }
    // LMTP (RFC 2033, 4.2): each accepted recipient has a reply of its own.
    std::optional<std::size_t> next_accepted() const;

    void take_mail(const PeerReply& reply);
    void take_rcpt(std::size_t index, const PeerReply& reply);
    void take_data(const PeerReply& reply);

    void end_probe();

    // The connection is of no use any more.
    void broke(const Error& error, std::string_view doing);
    // The server must not get an end mark: the connection ends here.
    void cannot_read(const Error& error);
    // 421: the server closes whatever the command was.
    bool closed_by(const PeerReply& reply, std::string_view command);
    // A server that cannot even forget is not where we believe it to be.
    bool was_reset(const PeerReply& reply);

    void settle_rest(const DeliveryStatus& status);
    void settle_one(std::size_t index, const DeliveryStatus& status);
    void settle_accepted(const DeliveryStatus& status);
};

} // namespace bulkhead
