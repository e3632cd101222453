#include "rules.h"

#include "base/dsn_flags.h"
#include "base/text.h"
#include "mail/error_classes.h"

#include <algorithm>
#include <numeric>

namespace bulkhead
{

Result<NotifyClasses> NotifyClasses::parse(std::span<const std::string> names)
{
    TRY(const ErrorClasses all, ErrorClasses::parse(names));
    NotifyClasses classes;
    classes.bounce = all.has(ErrorClass::bounce);
    classes.double_bounce = all.has(ErrorClass::double_bounce);
    classes.delay = all.has(ErrorClass::delay);
    return classes;
}

namespace
{

std::vector<std::size_t> everybody(const NoticeCase& facts)
{
    std::vector<std::size_t> all(facts.notify.size());
    std::iota(all.begin(), all.end(), std::size_t{0});
    return all;
}

// RFC 3461, 4.1: without NOTIFY a failure and a delay are reported, a success is not.
std::vector<std::size_t> who_wants(const NoticeCase& facts, unsigned event)
{
    std::vector<std::size_t> wanted;
    for (std::size_t i = 0; i < facts.notify.size(); ++i) {
        const unsigned mask = facts.notify[i];
        if ((mask & event) != 0 || (mask == 0 && event != notify::success))
            wanted.push_back(i);
    }
    return wanted;
}

// confirm_delay_cleared: also those who got a delay notice.
std::vector<std::size_t> who_hears_of_success(const NoticeCase& facts)
{
    std::vector<std::size_t> wanted;
    for (std::size_t i = 0; i < facts.notify.size(); ++i) {
        const unsigned mask = facts.notify[i];
        const bool was_told_of_delay = facts.delay_cleared && (mask == 0 || (mask & notify::delay) != 0);
        if ((mask & notify::success) != 0 || was_told_of_delay)
            wanted.push_back(i);
    }
    return wanted;
}

void tell_sender(NoticePlan& plan, NoticeKind kind, std::vector<std::size_t> recipients)
{
    if (recipients.empty())
        return;
    PlannedNotice notice;
    notice.kind = kind;
    notice.recipients = std::move(recipients);
    plan.notices.push_back(std::move(notice));
}

void tell_variable_senders(NoticePlan& plan, const std::vector<std::size_t>& recipients)
{
    for (const std::size_t recipient : recipients) {
        tell_sender(plan, NoticeKind::failure, {recipient});
        plan.notices.back().to_variable_sender = true;
    }
}

// The postmaster's interest is his mail system, so NOTIFY does not matter to him.
void tell_postmaster(NoticePlan& plan, NoticeKind kind, bool double_bounce, const NoticeCase& facts)
{
    PlannedNotice notice;
    notice.kind = kind;
    notice.to_postmaster = true;
    notice.double_bounce = double_bounce;
    notice.is_copy = !double_bounce;
    notice.recipients = everybody(facts);
    plan.notices.push_back(std::move(notice));
}

NoticePlan plan_failure(const NoticeCase& facts)
{
    NoticePlan plan;
    if (!facts.sender.empty()) {
        std::vector<std::size_t> failed = who_wants(facts, notify::failure);
        if (facts.one_by_one)
            tell_variable_senders(plan, failed);
        else
            tell_sender(plan, NoticeKind::failure, std::move(failed));
        if (facts.classes.bounce)
            tell_postmaster(plan, NoticeKind::failure, false, facts);
        return plan;
    }
    if (facts.classes.double_bounce)
        tell_postmaster(plan, NoticeKind::failure, true, facts);
    else
        plan.discarded = "undeliverable notification discarded: notify_classes does not contain 2bounce";
    return plan;
}

NoticePlan plan_delay(const NoticeCase& facts)
{
    NoticePlan plan;
    if (!facts.sender.empty())
        tell_sender(plan, NoticeKind::delay, who_wants(facts, notify::delay));
    if (facts.classes.delay)
        tell_postmaster(plan, NoticeKind::delay, false, facts);
    return plan;
}

NoticePlan plan_trace(const NoticeCase& facts)
{
    NoticePlan plan;
    if (facts.sender.empty())
        return plan;
    if (facts.wants_full_report)
        tell_sender(plan, NoticeKind::verify, everybody(facts));
    else
        tell_sender(plan, NoticeKind::success, who_hears_of_success(facts));
    return plan;
}

} // namespace

NoticePlan plan_notices(const NoticeCase& facts)
{
    NoticePlan plan;
    if (facts.notify.empty())
        return plan;
    const bool failure = facts.notice == ipc::Notice::bounce || facts.notice == ipc::Notice::expire;
    if (equals_ignoring_case(facts.sender, facts.double_bounce_sender)) {
        if (failure) {
            plan.discarded = "undeliverable postmaster notification discarded";
            plan.is_loop = true;
        }
        return plan;
    }
    if (failure)
        return plan_failure(facts);
    return facts.notice == ipc::Notice::warn ? plan_delay(facts) : plan_trace(facts);
}

std::string_view log_text(const PlannedNotice& notice)
{
    switch (notice.kind) {
    case NoticeKind::failure:
        return notice.to_postmaster ? "postmaster non-delivery notification"
                                    : "sender non-delivery notification";
    case NoticeKind::delay:
        return notice.to_postmaster ? "postmaster delay notification" : "sender delay notification";
    case NoticeKind::success:
    case NoticeKind::verify:
        break;
    }
    return "sender delivery status notification";
}

} // namespace bulkhead
