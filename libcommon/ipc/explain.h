// What a worker would do with a message, and why: `bulkhead route` starts it with -E, writes
// one message to its standard input and reads one from its standard output.  Question and
// answer are plain attributes that the two agree on; behind them come the decisions.
#pragma once

#include "ipc/message.h"

#include <string>
#include <vector>

namespace bulkhead::ipc
{

// One answer of a table, or a parameter that decided.
struct Because {
    std::string parameter;
    std::string table; // empty: the parameter's own value
    std::string key;
    std::string value;
};

void add(Message& message, const Because& because);
std::vector<Because> decisions_of(const Message& message);

// A whole message from a pipe, waiting for it; Fault::malformed, Fault::closed.
Result<Message> read_message(int fd);

} // namespace bulkhead::ipc
