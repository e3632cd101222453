// The hand-run form -E: the worker says what it would do with a message, and why, and does
// nothing (ipc/explain.h).
#pragma once

#include "ipc/message.h"

namespace bulkhead
{

class Worker;

// Reads the question from standard input, and writes the answer to standard output; the
// exit status of the process.
int explain_once(Worker& worker);

} // namespace bulkhead
