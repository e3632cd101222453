// What a person should know of a main.cf that is read without an error: settings that
// are overridden, comments that are none, parameters that are going away.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::postconf
{

// Lines for the log.  deprecated: also what releases 3.9 and later warn of.
std::vector<std::string> main_cf_remarks(std::string_view text, std::string_view file, bool deprecated);

// What to set instead of a deprecated parameter; empty if the name is not deprecated.
std::string_view replacement_of(std::string_view name);

} // namespace bulkhead::postconf
