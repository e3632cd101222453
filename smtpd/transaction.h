// One mail transaction of a session: what MAIL and RCPT said, and the message on its
// way.  Its end, whatever it was, is the end of this object.
#pragma once

#include "access_subject.h"
#include "client_attributes.h"
#include "content.h"
#include "message_sink.h"
#include "peer.h"

#include "base/clock.h"
#include "smtp/command.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

struct Transaction {
    explicit Transaction(MailCommand command) : mail(std::move(command)), arrival(WallTime::now()) {}

    MailCommand mail;
    std::string arguments; // of MAIL, as written
    WallTime arrival;
    int recipients = 0;
    int overshoot = 0;                       // RCPT commands above the limit
    std::string recipient;                   // the one, while there is only one; internal form
    std::unique_ptr<MessageSink> sink;       // from the first good recipient on
    std::string queue_id;                    // the sink's, also when that is gone
    std::unique_ptr<MessageContent> content; // from DATA or the first BDAT on
    bool broken = false;                     // the sink failed: refuse at the end
    std::uint64_t size = 0;                  // bytes of the text, once it has arrived
    MessageActions actions;                  // of access tables and policy servers
};

// The client of a message, as the records tell it.
struct ClientFacts {
    const Peer& peer;
    std::string_view helo;                // empty: none
    std::string_view protocol;            // "ESMTP"
    bool rewrite_headers;                 // headers are ours to complete
    const Forwarded* forwarded = nullptr; // whom log lines and the next hop shall name; null: this client
    std::string_view sasl_method = {};    // empty: not logged in
    std::string_view sasl_username = {};
    std::string_view sasl_sender = {}; // of MAIL AUTH=; empty: not given
};

// The envelope up to the first recipient: T, A, S, A.
void append_envelope(std::string& records, const Transaction& transaction, const ClientFacts& client,
                     bool with_client);

// ", sasl_method=PLAIN, sasl_username=joe" for the log; empty for clients without login.
std::string login_attributes(const ClientFacts& client);

// One recipient: A, O, R.
void append_recipient(std::string& records, const RcptCommand& command, bool with_original);

// What access actions want of the queue manager: L, >, and for each BCC A, R.
void append_actions(std::string& records, const MessageActions& actions);

// The Received: header.
struct ReceivedFacts {
    std::vector<std::string> comments; // lines of smtpd_tls_received_header and of the login
    std::string_view host;             // myhostname
    std::string_view mail_name;
    std::string_view queue_id;
    std::string_view recipient; // internal form; empty: more than one
    std::int64_t time = 0;
};
void append_received(std::string& records, const ClientFacts& client, const ReceivedFacts& facts);

} // namespace bulkhead
