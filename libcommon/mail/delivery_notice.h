// Composes the messages that tell a sender, or the postmaster, what became of
// mail: multipart/report with a delivery-status part (RFC 3461, 3462, 3464).
// Facts in, lines out; who gets the notice and how it is sent is bounce's affair.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

enum class NoticeKind {
    failure, // returned: no more attempts
    delay,   // still trying
    success, // delivered, as NOTIFY=SUCCESS asked
    verify,  // what would happen: sendmail -bv, or delivery record of sendmail -v
};

// One recipient's paragraph.  Addresses in internal form.
struct NoticeRecipient {
    std::string final_recipient;
    std::string original_recipient; // "rfc822;user@example.test", empty if unknown
    std::string action;           // failed, delayed, delivered, relayed, expanded, deliverable, undeliverable
    std::string status;           // 5.1.1
    std::string diagnostic_type;  // "smtp", empty: a reason of ours ("X-" and mail_name)
    std::string diagnostic_text;  // the remote reply; the reason is used if empty
    std::string remote_type;      // "dns"; empty if no remote server spoke
    std::string remote_name;      // mx.example.test
    std::string reason;           // the sentence of the log line
    std::int64_t retry_until = 0; // delay only: when we shall give up; 0: not shown
};

// Words from bounce_template_file in place of ours.
struct NoticeText {
    std::string charset; // of the lines
    std::string from;    // a whole header value; empty: ours
    std::string subject;
    std::string postmaster_subject;
    std::vector<std::string> lines; // expanded
};

struct DeliveryNotice {
    const NoticeText* text = nullptr; // lives as long as the notice; nullptr: our own words
    NoticeKind kind = NoticeKind::failure;
    // A copy for the postmaster: subject and text speak about the sender
    // instead of to him; a double bounce says so.
    bool for_postmaster = false;
    bool double_bounce = false;

    std::string mail_name;      // $mail_name
    std::string myhostname;     // $myhostname: Reporting-MTA and MAILER-DAEMON@
    std::string to;             // who gets the notice, internal form
    std::string queue_id;       // of the original message
    std::string sender;         // of the original message, internal form
    std::string envelope_id;    // ENVID, decoded; empty if none
    std::string message_id;     // of the original, "<x@y>": References and In-Reply-To; empty: neither
    bool obsolete_from = false; // header_from_format: "address (name)"
    std::int64_t arrival_time = 0;
    std::int64_t now = 0; // seconds; part of the boundary

    std::vector<NoticeRecipient> recipients;

    // The original is returned whole unless RET=HDRS asked for headers or it is
    // larger than size_limit (bounce_size_limit, bytes; 0: no limit).
    bool headers_only = false;
    bool original_is_8bit = false;
    // The original needed SMTPUTF8: message/global and its relatives (RFC 6533), addresses
    // as they are.  Otherwise a byte that is not ASCII is shown as '?'.
    bool smtputf8 = false;
    std::uint64_t original_size = 0;
    std::uint64_t size_limit = 0;
};

// The next line of the original message without line end; false at the end.
// An empty function: the original cannot be read, the third part is left out.
using OriginalLines = std::function<bool(std::string& line)>;

// The notice has bytes above 127 and must be declared 8bit.
bool is_8bit_notice(const DeliveryNotice& notice);

// Header and body of the notice, line by line without line ends.  No Date,
// Message-ID or Received: cleanup adds them.
std::vector<std::string> compose_notice(const DeliveryNotice& notice, const OriginalLines& original);

// The words of a notice to the sender, for postconf -b and -t; $myhostname stands in them.
struct NoticeTemplate {
    std::string_view subject;
    std::string_view postmaster_subject;
    std::vector<std::string> lines;
};
NoticeTemplate notice_template(NoticeKind kind);

// "Undelivered Mail Returned to Sender" and its relatives.
std::string_view notice_subject(const DeliveryNotice& notice);

} // namespace bulkhead
