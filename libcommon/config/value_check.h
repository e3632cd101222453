// Looks at every value that main.cf sets before any program meets it, by the type
// of the table of known names: the difference between a start that names file, line
// and reason, and a worker that dies later.
#pragma once

#include "base/result.h"

#include <string_view>

namespace bulkhead
{

class Config;

// One user setting against its type ("bool", "int [1..]", "time unit=s [1..]"); names
// without such a type are fine as they are.  The error is "FILE, line N: NAME: reason".
Result<> check_value(const Config& config, std::string_view name);

// All of them; the first bad one.
Result<> check_values(const Config& config);

} // namespace bulkhead
