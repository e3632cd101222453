// Tells the postmaster of sessions that met with an error of a class that notify_classes names.
#pragma once

#include "async/task.h"
#include "ipc/channel.h"
#include "ipc/delivery.h"
#include "mail/error_classes.h"
#include "params.h"

#include <memory>
#include <string>

namespace bulkhead
{

class SmtpSession;

class SessionNotices
{
public:
    // params must outlive it; timeout: of cleanup.  Fault::config for an unknown class.
    static Result<SessionNotices> open(const SmtpParams& params, std::string myhostname,
                                       std::string mail_name, Milliseconds timeout);

    // Sessions need transcripts.
    bool are_wanted() const { return wanted_.has(ErrorClass::protocol) || wanted_.has(ErrorClass::resource); }

    // After a delivery by this session, or in place of one.  Not for notices themselves: a
    // postmaster's server in trouble would get one for each.
    Task<> send(const ipc::DeliveryRequest& request, SmtpSession& session);

private:
    const SmtpParams* params_ = nullptr;
    ErrorClasses wanted_;
    std::string sender_;
    std::string myhostname_;
    std::string mail_name_;
    std::unique_ptr<ipc::Service> cleanup_;
};

} // namespace bulkhead
