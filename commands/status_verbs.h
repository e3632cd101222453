// The verbs that look at what runs, and put its log aside.  Each returns the exit status of the
// command.
#pragma once

#include "mail_system.h"

namespace bulkhead
{

int status(const Request& request, const MailSystem& system);
int rotate_log(const Request& request, const MailSystem& system);

} // namespace bulkhead
