// One environment as the spool inspector sees it: its name, its configuration and its
// open spool.
#pragma once

#include "base/result.h"
#include "spool/paths.h"
#include "wait_condition.h"

#include <string>
#include <vector>

namespace bulkhead
{

struct SpoolEnvironment {
    std::string name; // "-" for a primary environment without one
    std::string config_directory;
    std::string queue_directory;
    std::string log_file; // maillog_file; "" or /dev/stdout: none to read
    Spool spool;
};

// The environment of a configuration folder.
Result<SpoolEnvironment> open_environment(const std::string& config_directory);

// The folder itself and those that its multi_instance_directories names.
Result<std::vector<std::string>> environment_directories(const std::string& primary);

// Queues are counted in the order in which mail moves, so that a message on its way is
// rather counted twice than not at all.
Result<QueueCounts> count_messages(const Spool& spool);

} // namespace bulkhead
