// `bulkhead route`: which way a message from A to B would take, and which table says so.  Reads
// the environment's configuration itself and asks its worker programs (-E); the mail system
// may be stopped.
#pragma once

#include <span>
#include <string>

namespace bulkhead
{

// directory: the configuration folder of -c.  The exit status of the command.
int route_command(const std::string& directory, std::span<char*> arguments);

} // namespace bulkhead
