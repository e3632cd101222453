// Files with keys and passwords that a configuration names: readable by others they are no secrets any more.
#pragma once

#include <string>
#include <vector>

namespace bulkhead
{

class Config;

// One line for each that its group or everybody may read, naming the place in main.cf.
std::vector<std::string> warn_of_open_secrets(const Config& config);

} // namespace bulkhead
