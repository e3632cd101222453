// The -v trace of what a worker says to its siblings, one line per message:
//
//     > private/rewrite: resolve sender="" address=you@projets.example
//     < private/rewrite: ok transport=virtual nexthop=projets.example ...
//
// ">" is what this process sends, "<" what it gets.  Without -v it costs a comparison.
#pragma once

#include "ipc/message.h"
#include "log/log.h"

#include <string>
#include <string_view>

namespace bulkhead::ipc
{

// "resolve sender="" address=you@projets.example"; long values are cut, raw records are
// a number of bytes.
std::string describe(const Message& message);

// direction is '>' or '<', peer a socket's path or the service's own name.
void trace_message(char direction, std::string_view peer, const Message& message);

inline void trace_sent(std::string_view peer, const Message& message)
{
    if (log::verbosity() > 0)
        trace_message('>', peer, message);
}

inline void trace_received(std::string_view peer, const Message& message)
{
    if (log::verbosity() > 0)
        trace_message('<', peer, message);
}

} // namespace bulkhead::ipc
