// Parameters that come from the process's environment, as containers are configured:
//
//     BULKHEAD_<parameter>               of the primary environment
//     BULKHEAD_ENV_<name>__<parameter>   of the environment <name>; "_" in it also stands for "-" and "."
//     POSTFIX_<parameter>                another name of the first
//     ..._FILE                           the value is the content of the file that this names
//
// Only names of known parameters count.  They stand above main.cf.
#pragma once

#include "base/result.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

class MainCf;

struct VariableSetting {
    std::string variable; // for messages
    std::string name;
    std::string value; // one line
};

// What `variables` (NAME=value) set in the environment `name`.  Fault::config naming the variable when
// its file cannot be read; names in lower case that nobody knows are errors too: a typing mistake.
Result<std::vector<VariableSetting>> settings_from(std::span<const std::string> variables,
                                                   std::string_view name, bool primary);

// Those of this process, into main.cf as it was read.
Result<std::vector<VariableSetting>> apply_variables(MainCf& main, bool primary);

} // namespace bulkhead
