// bulkhead user: the logins of an environment, in the database that saslauth reads.
#pragma once

#include <span>
#include <string>

namespace bulkhead
{

// directory: the configuration folder of the command line; the exit code.
int user_command(const std::string& directory, std::span<char*> arguments);

} // namespace bulkhead
