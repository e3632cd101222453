// The person who called a command, as the system knows him, and what main.cf allows him.
#pragma once

#include "config/config.h"

#include <optional>
#include <string>
#include <string_view>

namespace bulkhead
{

// The login name of the caller; nullopt when his number has none.
std::optional<std::string> login_name();

// His name for From: lines: $NAME, or the first part of his entry in the user database,
// where '&' stands for the login name.
std::string full_name_of_caller();

// "" when the caller is in the list of that parameter (authorized_submit_users and its
// like), else a sentence: "User joe(1000) is not allowed to submit mail".  Root always is.
// also: a user who needs no entry.
std::string refusal_of_caller(const Config& config, std::string_view parameter, std::string_view doing,
                              std::string_view also = {});

} // namespace bulkhead
