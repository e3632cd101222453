// A short message to the postmaster about a session that went wrong: its transcript.
#pragma once

#include "async/task.h"
#include "ipc/channel.h"

#include <string>

namespace bulkhead::ipc
{

struct PostmasterNotice {
    std::string subject;   // "Bulkhead SMTP server: errors from client[192.0.2.1]"
    std::string sender;    // double_bounce_sender: what cannot be delivered ends there
    std::string recipient; // internal form
    std::string myhostname;
    std::string mail_name;
    std::string text; // lines that end in LF
};

// The notice's queue id, once it is durable.  The service is cleanup's.
Task<Result<std::string>> send_postmaster_notice(Service& cleanup, PostmasterNotice notice);

} // namespace bulkhead::ipc
