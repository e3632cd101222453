// The arguments that master gives a worker, and the hand-run forms.
#pragma once

#include "base/result.h"

#include <span>
#include <string>
#include <vector>

namespace bulkhead
{

struct WorkerArguments {
    std::string program;                // base name of argv[0]
    std::string service;                // -n; the program's name when run by hand
    std::string type = "unix";          // -t: inet, unix, unix-dgram, fifo, pass
    bool change_root = false;           // -c
    bool unprivileged = false;          // -u
    bool debugger = false;              // -D: wait until one is attached
    bool standalone = false;            // -S: one session on stdin and stdout
    bool explain = false;               // -E: say what would be done (explain.h)
    int verbosity = 0;                  // -v, repeatable
    int listeners = 0;                  // -s: listening descriptors from 6 on
    std::vector<std::string> overrides; // -o name=value
    std::vector<std::string> plain;     // the rest
};

// Fault::config for an option that nobody knows.
Result<WorkerArguments> parse_worker_arguments(std::span<char* const> argv);

} // namespace bulkhead
