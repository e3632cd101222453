// What pipe, spawn and local have in common about users and environments of commands.
#pragma once

#include "delivery/command_starter.h"

#include "base/result.h"

#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

// "name" or "name:group", as in user=.  Fault::config for unknown ones, for root, and for
// the mail system's own user and group root.
Result<CommandIdentity> service_user(const std::string& text, const std::string& mail_owner);

// The variables of export_environment, NAME=value: names are asked of this process, NAME=value
// is taken as it is.  PATH is always there.
std::vector<std::string> exported_environment(const std::vector<std::string>& names);

} // namespace bulkhead
