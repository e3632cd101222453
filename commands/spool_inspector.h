// `bulkhead spool`: lists the queues of every environment, follows one message, and
// waits for a condition.
#pragma once

#include <span>

namespace bulkhead
{

// args: the words after "spool".  The default folder is default_config_directory().
int spool_inspector(std::span<char*> args);

} // namespace bulkhead
