#include "session_notice.h"

#include "session.h"

#include "ipc/postmaster_notice.h"
#include "log/log.h"
#include "mail/address.h"

#include <fmt/format.h>

namespace bulkhead
{

Result<SessionNotices> SessionNotices::open(const SmtpParams& params, std::string myhostname,
                                            std::string mail_name, Milliseconds timeout)
{
    SessionNotices notices;
    notices.params_ = &params;
    auto classes = ErrorClasses::parse(params.notify_classes());
    if (!classes)
        return Error{Fault::config, fmt::format("notify_classes: {}", classes.error().context)};
    notices.wanted_ = *classes;
    notices.sender_ = params.double_bounce_sender();
    if (!split_address(notices.sender_).has_domain)
        notices.sender_ += '@' + params.myorigin();
    notices.myhostname_ = std::move(myhostname);
    notices.mail_name_ = std::move(mail_name);
    notices.cleanup_ = std::make_unique<ipc::Service>("public/" + params.cleanup_service(), timeout);
    return notices;
}

Task<> SessionNotices::send(const ipc::DeliveryRequest& request, SmtpSession& session)
{
    const ErrorClasses met = session.take_errors().common_with(wanted_);
    if (met.empty() || request.sender.empty() || request.sender == sender_)
        co_return;
    ipc::PostmasterNotice notice;
    notice.subject = fmt::format("{} {} client: errors from {}", mail_name_,
                                 params_->is_lmtp() ? "LMTP" : "SMTP", session.peer().label());
    notice.sender = sender_;
    notice.recipient = params_->error_recipient();
    notice.myhostname = myhostname_;
    notice.mail_name = mail_name_;
    notice.text = fmt::format("Unexpected response from {}.\n\nTranscript of session follows.\n\n{}\n"
                              "For other details, see the local mail logfile\n",
                              session.peer().label(), session.transcript());
    const auto sent = co_await ipc::send_postmaster_notice(*cleanup_, std::move(notice));
    if (!sent)
        log::warn(fmt::format("postmaster not told of the session with {}: {}", session.peer().label(),
                              sent.error().context));
}

} // namespace bulkhead
