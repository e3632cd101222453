// As whom the person who called a command may send mail: local_login_sender_maps.
#pragma once

#include "config/config.h"

#include <string>
#include <string_view>

namespace bulkhead
{

// What a sender is compared with.
struct SenderRules {
    std::string origin;    // the domain of addresses without one
    std::string empty_key; // stands for the null sender among the patterns
};

// patterns: "*", addresses, "@domain", and the empty key, with blanks or commas between them.
bool is_allowed_sender(std::string_view patterns, std::string_view sender, const SenderRules& rules);

// "" when the caller may send as this address (internal form), else a sentence.  Root and the mail
// system's owner always may; a table that cannot be asked allows nothing.
std::string refusal_of_sender(const Config& config, std::string_view sender);

} // namespace bulkhead
