// A program or a shell command that runs with the paths of one environment in its
// environment variables, as Postfix's scripts expect them.  Used by `bulkhead /COMMAND`.
#pragma once

#include "config/config.h"

#include <span>
#include <string>

namespace bulkhead
{

// Replaces this process by `words` in the queue directory; the exit code when that fails:
// 127 for a program that is not there, 126 for one that cannot be run.
int become_environment_command(const Config& config, std::span<char*> words);

} // namespace bulkhead
