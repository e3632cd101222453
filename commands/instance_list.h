// The environments of a machine as postmulti sees them: the primary's folder and those that its
// multi_instance_directories names, each read only as far as its main.cf goes, and changes of that list.
#pragma once

#include "base/result.h"
#include "config/config.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

struct Instance {
    std::string directory;
    std::string name;  // "" for a primary without one
    std::string group; // "" for none
    bool enabled = false;
    bool primary = false;
    std::optional<Config> config; // nullopt: main.cf cannot be read, and why
    std::string problem;

    std::string shown_name() const { return name.empty() ? "-" : name; }
};

// The primary is the first.  A secondary one that cannot be read is in the list, with its problem.
Result<std::vector<Instance>> list_instances(const std::string& primary_directory);

Instance read_instance(const std::string& directory, bool primary);

// A line of postmulti -l (log-format.md, 9).
std::string instance_line(const Instance& instance);
// One object of postmulti -l -j.
std::string instance_json(const Instance& instance);

// Why this cannot be a new environment's name; empty when it can.
std::string name_problem(std::string_view name);

// Sets parameters in main.cf of a folder; nothing else in the file changes.
Result<> set_parameters(const std::string& directory,
                        const std::vector<std::pair<std::string, std::string>>& settings);

// Adds a folder to multi_instance_directories of the primary, or takes it away.
Result<> add_to_list(const std::string& primary_directory, const std::string& directory);
Result<> take_from_list(const std::string& primary_directory, const std::string& directory);

} // namespace bulkhead
