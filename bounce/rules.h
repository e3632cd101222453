// Who is told what: pure decisions, no files and no mail.  The null sender never
// gets a notice; a notice that fails becomes a notice to the postmaster (class
// 2bounce), sent by double_bounce_sender; mail from that sender ends here.
#pragma once

#include "base/result.h"
#include "ipc/bounce.h"
#include "mail/delivery_notice.h"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

// The classes of notify_classes that matter here.
struct NotifyClasses {
    bool bounce = false;
    bool double_bounce = false;
    bool delay = false;

    // Fault::config for a class that does not exist.
    static Result<NotifyClasses> parse(std::span<const std::string> names);
};

// What qmgr asks for and what is known of the message.
struct NoticeCase {
    ipc::Notice notice = ipc::Notice::bounce;
    std::string_view sender;               // of the original message, internal form
    std::string_view double_bounce_sender; // with its domain
    NotifyClasses classes;
    bool wants_full_report = false;   // trace: sendmail -v or -bv, not NOTIFY=SUCCESS
    bool delay_cleared = false;       // trace: who was told of the delay is told of its end
    bool one_by_one = false;          // VERP: a notice for each failed recipient
    std::span<const unsigned> notify; // NOTIFY mask of each recipient in the log
};

struct PlannedNotice {
    NoticeKind kind = NoticeKind::failure;
    bool to_postmaster = false;          // from double_bounce_sender; else to the sender, from <>
    bool double_bounce = false;          // to 2bounce_notice_recipient
    bool to_variable_sender = false;     // the sender that its one recipient saw (VERP)
    bool is_copy = false;                // somebody else was told already: no reason to try again
    std::vector<std::size_t> recipients; // indexes into NoticeCase::notify

    bool operator==(const PlannedNotice&) const = default;
};

struct NoticePlan {
    std::vector<PlannedNotice> notices; // in the order of sending
    std::string_view discarded;         // set when nobody hears of a failure; a text for the log
    bool is_loop = false;               // discarded because the postmaster could not be told either
};

NoticePlan plan_notices(const NoticeCase& facts);

// "sender non-delivery notification" and its relatives (log-format.md, 2).
std::string_view log_text(const PlannedNotice& notice);

} // namespace bulkhead
