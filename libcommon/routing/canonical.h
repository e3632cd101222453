// The canonical form of an address: every address that enters the mail system is
// brought to user@full.domain before anything else looks at it.  Pure text.
#pragma once

#include "ipc/rewrite.h"

#include <string>
#include <string_view>

namespace bulkhead
{

struct CanonicalRules {
    std::string myorigin;
    std::string mydomain;
    std::string remote_domain; // remote_header_rewrite_domain; empty: leave incomplete addresses
    bool append_at_myorigin = true;
    bool append_dot_mydomain = false;
    bool swap_bangpath = true;
    bool allow_percent_hack = true;
};

// Internal form in and out; the null address stays what it is.
std::string canonical_form(const CanonicalRules& rules, ipc::RewriteContext context,
                           std::string_view address);

} // namespace bulkhead
