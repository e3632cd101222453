// Addresses in log lines (from=<...>, to=<...>, orig_to=<...>): one form for all lines of a process,
// because those who read a log look for a mailbox by one spelling.
#pragma once

#include "base/result.h"

#include <string>
#include <string_view>

namespace bulkhead
{

// info_log_address_format, before the first line about mail is written.  "external": quoted as RFC
// 5321 demands, which is also what counts when nothing was chosen; "internal": raw, as in tables and
// queue files.
Result<> choose_logged_form(std::string_view format);

// Of an internal address.  Unprintable bytes are still in it.
std::string logged_form(std::string_view internal);

} // namespace bulkhead
