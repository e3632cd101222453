// Asks the running master of an environment, over the control socket in its pid folder.
#pragma once

#include "base/result.h"

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

// The pid of the master that runs on this spool; nullopt when none does.
std::optional<pid_t> running_master(const std::string& queue_directory);

// Sends one request and gives the lines of the answer behind "ok".  An answer "error ..." is
// Fault::refused with its text; no answer within half a minute is a fault of the socket.
Result<std::vector<std::string>> ask_master(const std::string& queue_directory, std::string_view request);

} // namespace bulkhead
