// Starts a worker: descriptors in their places, nothing else inherited, in the time
// of a vfork.  Knows no services.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <sys/types.h>

#include <span>
#include <string>
#include <vector>

namespace bulkhead
{

struct Launch {
    std::string program;                  // path
    std::vector<std::string> words;       // argv
    std::vector<std::string> environment; // NAME=value
    int main_cf = -1;                     // becomes descriptor 4
    std::vector<int> listeners;           // become descriptors 6, 7, ...
};

struct Launched {
    pid_t pid = -1;
    UniqueFd link; // our end of the control socket, non-blocking
};

// The worker leads a session and a process group of its own: a terminal's Ctrl-C is the
// master's affair, and what the worker has started can be killed with it.
Result<Launched> launch(const Launch& launch);

} // namespace bulkhead
