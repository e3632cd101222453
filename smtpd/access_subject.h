// What is known of a session at the command that rules are evaluated for, and what rules
// may do to the message besides letting it pass.
#pragma once

#include "peer.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

namespace tls
{
struct Facts;
}

// What access actions have decided about a message; cleanup and the queue manager do it.
struct MessageActions {
    bool hold = false;
    bool discard = false;
    std::string filter;               // FILTER transport:nexthop
    std::string redirect;             // REDIRECT address, internal form
    std::vector<std::string> bcc;     // BCC addresses, internal form
    std::vector<std::string> prepend; // PREPEND header lines
};

// Views live as long as the check.
struct AccessSubject {
    explicit AccessSubject(std::string_view stage_name, const Peer& peer) : stage(stage_name), client(peer) {}

    std::string_view stage; // "RCPT", as log lines have it
    const Peer& client;
    std::string_view helo;                     // empty: none yet
    std::optional<std::string_view> sender;    // internal form
    std::optional<std::string_view> recipient; // internal form
    std::string_view protocol;                 // "ESMTP"
    std::string_view queue_id;                 // empty: none yet
    std::string_view instance;                 // the same for all commands of one message
    std::string_view etrn_domain;
    int recipients = 0;     // accepted so far
    std::uint64_t size = 0; // of MAIL SIZE=, or of the message
    bool broke_pipelining = false;
    const tls::Facts* tls = nullptr; // null: not encrypted
    std::string_view sasl_method;    // empty: not logged in
    std::string_view sasl_username;
    std::string_view sasl_sender;      // of MAIL AUTH=
    MessageActions* actions = nullptr; // null: no message is open
};

// "NOQUEUE: reject: RCPT from a[b]: TEXT; from=<s> to=<r> proto=ESMTP helo=<h>"; label is
// the client as log lines have it.
std::string access_line(std::string_view what, const AccessSubject& subject, std::string_view label,
                        std::string_view text);

} // namespace bulkhead
