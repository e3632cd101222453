// Everything that the master needs to know of one environment: its folder's
// main.cf and master.cf, read and checked.
#pragma once

#include "base/result.h"
#include "config/config.h"
#include "config/master_cf.h"

#include <string>
#include <vector>

namespace bulkhead
{

struct EnvironmentConfig {
    std::string name;  // multi_instance_name; "-" for the primary without a name
    std::string group; // multi_instance_group
    bool enabled = true;
    std::string config_directory;
    std::string main_cf_text; // what config was read from
    Config config;
    MasterCf master;

    std::vector<std::string> warnings() const; // unknown names, duplicates: one line each
};

// Reads DIR/main.cf and DIR/master.cf.  The primary environment is enabled whatever
// multi_instance_enable says; a secondary one needs a multi_instance_name.
Result<EnvironmentConfig> load_environment(const std::string& config_directory, bool primary);

// The subfolders of multi_instance_folder, by name; those whose name begins with a dot are not meant.
std::vector<std::string> environment_folders(const std::string& folder);

// The folders in the primary's multi_instance_directories, in order, then those with a main.cf in its
// multi_instance_folder.
std::vector<std::string> secondary_directories(const Config& primary);

} // namespace bulkhead
