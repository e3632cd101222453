// The right-hand side of an access(5) table: text to a typed action.  Pure.
#pragma once

#include <string>
#include <string_view>

namespace bulkhead
{

struct AccessAction {
    enum class Kind {
        permit,       // OK, a number alone
        undecided,    // DUNNO
        reject,       // REJECT [text]
        defer,        // DEFER [text]
        reply,        // 4NN text, 5NN text
        restrictions, // anything else: names of restrictions
    };

    Kind kind = Kind::undecided;
    int code = 0;     // of reply
    std::string dsn;  // from the text; empty: the default of the kind
    std::string text; // empty: the default of the kind; or the names
};

AccessAction parse_access_action(std::string_view value);

} // namespace bulkhead
