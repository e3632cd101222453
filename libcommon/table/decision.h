// Which entry of which table decided about an address: told to whoever explains the way of
// a message (`bulkhead route`), and to nobody otherwise.  Like the log, there is one listener
// in a process.
#pragma once

#include <functional>
#include <string_view>

namespace bulkhead
{

struct Decision {
    std::string_view parameter; // "transport_maps"
    std::string_view table;     // "hash:/etc/bulkhead/transport"; empty: the parameter's own value
    std::string_view key;       // what matched
    std::string_view value;     // what the table says, or the parameter
};

// The views live for the call only.  One listener at a time; an empty function ends it.
using DecisionListener = std::function<void(const Decision& decision)>;
void listen_to_decisions(DecisionListener listener);

// Somebody listens: worth putting words together.
bool decisions_are_told();

void tell_decision(const Decision& decision);

} // namespace bulkhead
