// The right-hand side of an access(5) table, and the answer of a policy server: text to a
// typed action.  Pure.
#pragma once

#include <string>
#include <string_view>

namespace bulkhead
{

struct AccessAction {
    enum class Kind {
        permit,          // OK, a number alone
        undecided,       // DUNNO
        reject,          // REJECT [text]
        defer,           // DEFER [text]
        reply,           // 4NN text, 5NN text
        defer_if_permit, // DEFER_IF_PERMIT [text]
        defer_if_reject, // DEFER_IF_REJECT [text]
        hold,            // HOLD [text]
        discard,         // DISCARD [text]
        warn,            // WARN [text]
        info,            // INFO [text]
        filter,          // FILTER transport:destination
        redirect,        // REDIRECT user@domain
        bcc,             // BCC user@domain
        prepend,         // PREPEND headername: value
        restrictions,    // anything else: names of restrictions
    };

    Kind kind = Kind::undecided;
    int code = 0;     // of reply
    std::string dsn;  // from the text, of the class that the code has; empty: the default of the kind
    std::string text; // empty: the default of the kind; or the names
};

AccessAction parse_access_action(std::string_view value);

// An enhanced status of the class that the reply's code has (RFC 3463, section 2): "5.7.1"
// and 450 make "4.7.1".
std::string agreeing_status(int code, std::string_view status);

} // namespace bulkhead
