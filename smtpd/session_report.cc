#include "session_report.h"

#include "base/text.h"
#include "ipc/postmaster_notice.h"
#include "log/log.h"
#include "mail/address.h"

#include <fmt/format.h>

namespace bulkhead
{

ErrorClasses error_class_of(const Reply& reply)
{
    ErrorClasses classes;
    const std::string_view dsn = reply.dsn;
    if (reply.code < 400 || dsn.size() < 5)
        return classes;
    const std::string_view detail = dsn.substr(1); // the first digit repeats the code's
    if (detail.starts_with(".5."))
        classes.add(ErrorClass::protocol);
    else if (detail == ".1.1" && reply.code >= 500)
        classes.add(ErrorClass::bounce); // mail that nobody gets
    else if (detail.starts_with(".7.") || detail.starts_with(".1."))
        classes.add(ErrorClass::policy);
    else if (detail == ".3.1" || reply.code == 452)
        classes.add(ErrorClass::resource);
    else if (detail == ".3.4")
        classes.add(ErrorClass::policy); // too large for us
    else if (detail == ".3.5" || reply.summary().find("ookup failure") != std::string::npos ||
             reply.summary().find("data error") != std::string::npos)
        classes.add(ErrorClass::data);
    else if (detail == ".3.0" || detail == ".6.0")
        classes.add(ErrorClass::software);
    return classes;
}

Result<ReportPolicy> ReportPolicy::open(const SmtpdParams& params, std::string myhostname,
                                        std::string mail_name)
{
    ReportPolicy policy;
    TRY(policy.classes, ErrorClasses::parse(params.notify_classes()));
    policy.sender = params.double_bounce_sender();
    if (!split_address(policy.sender).has_domain)
        policy.sender += '@' + params.notice_origin();
    policy.error_recipient = params.error_recipient();
    policy.bounce_recipient = params.bounce_recipient();
    policy.history = static_cast<std::size_t>(params.history_threshold());
    policy.myhostname = std::move(myhostname);
    policy.mail_name = std::move(mail_name);
    return policy;
}

// A long session that goes well is of no interest to anybody.
void SessionReport::heard(std::string_view line)
{
    if (!policy_)
        return;
    const bool begins_anew = starts_with_ignoring_case(line, "RSET") ||
                             starts_with_ignoring_case(line, "EHLO") ||
                             starts_with_ignoring_case(line, "MAIL ");
    if (begins_anew && met_.empty() && transcript_.lines() > policy_->history)
        transcript_.clear();
    transcript_.heard(line);
}

void SessionReport::said(const Reply& reply)
{
    if (!policy_)
        return;
    const std::string wire = reply.wire();
    for (const std::string_view line : split(wire, "\r\n"))
        transcript_.said(line);
    const ErrorClasses here = error_class_of(reply).common_with(policy_->classes);
    for (const ErrorClass each : {ErrorClass::bounce, ErrorClass::data, ErrorClass::policy,
                                  ErrorClass::protocol, ErrorClass::resource, ErrorClass::software})
        if (here.has(each))
            met_.add(each);
}

Task<> SessionReport::send(ipc::Service& cleanup, std::string client, std::string ending)
{
    if (!policy_ || met_.empty())
        co_return;
    ipc::PostmasterNotice notice;
    notice.subject = fmt::format("{} SMTP server: errors from {}", policy_->mail_name, client);
    notice.sender = policy_->sender;
    notice.recipient = met_.has(ErrorClass::bounce) ? policy_->bounce_recipient : policy_->error_recipient;
    notice.myhostname = policy_->myhostname;
    notice.mail_name = policy_->mail_name;
    notice.text = "Transcript of session follows.\n\n" + transcript_.text();
    if (!ending.empty())
        notice.text += fmt::format("\nSession aborted, reason: {}\n", ending);
    notice.text += "\nFor other details, see the local mail logfile\n";
    met_ = {};
    const auto sent = co_await ipc::send_postmaster_notice(cleanup, std::move(notice));
    if (!sent)
        log::warn(
            fmt::format("postmaster not told of the session with {}: {}", client, sent.error().context));
}

} // namespace bulkhead
