// Who has logged in on a session, and how such things are shown.
#pragma once

#include <string>
#include <string_view>

namespace bulkhead
{

struct Login {
    std::string method; // "PLAIN"
    std::string user;
};

// For log lines and headers.
std::string shown_login(std::string_view user);

// What a client has sent, up to the first line with an AUTH command: for log lines.
std::string_view without_secrets(std::string_view input);

} // namespace bulkhead
