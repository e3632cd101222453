// Collects what a session says, and tells the postmaster when it met with an error of a
// class that notify_classes names.
#pragma once

#include "ipc/channel.h"
#include "mail/error_classes.h"
#include "mail/transcript.h"
#include "params.h"
#include "smtp/reply.h"

#include <string>
#include <string_view>

namespace bulkhead
{

// The class of a reply that is an error.  Replies carry what is needed: RFC 3463 says what
// the numbers mean.
ErrorClasses error_class_of(const Reply& reply);

// What all sessions share.
struct ReportPolicy {
    ErrorClasses classes;
    std::string sender;
    std::string error_recipient;
    std::string bounce_recipient;
    std::size_t history = 100; // lines kept of a session that goes well
    std::string myhostname;
    std::string mail_name;

    static Result<ReportPolicy> open(const SmtpdParams& params, std::string myhostname,
                                     std::string mail_name);
};

class SessionReport
{
public:
    // null: nobody is to be told.  The policy outlives it.
    explicit SessionReport(const ReportPolicy* policy) : policy_(policy) {}

    void heard(std::string_view line);
    void said(const Reply& reply);

    // At the end.  client: "name[address]"; ending: "lost connection", or nothing.
    Task<> send(ipc::Service& cleanup, std::string client, std::string ending);

private:
    const ReportPolicy* policy_;
    ErrorClasses met_;
    Transcript transcript_;
};

} // namespace bulkhead
