// Makes a new environment and takes one away: its configuration folder, spool, data folder and
// system user.  Making is one step: what was made is removed again unless all of it succeeds.
#pragma once

#include "instance_list.h"

#include <map>
#include <string>

namespace bulkhead
{

// What the new one is to be; empty parts are derived from the primary's and the name.
struct NewInstance {
    std::string name;
    std::string group;
    std::string config_directory;
    std::string queue_directory;
    std::string data_directory;
    std::string mail_owner;                                    // of a new system user when empty
    std::vector<std::pair<std::string, std::string>> settings; // more parameters of its main.cf
};

// Makes it and adds it to the primary's list, disabled, without network services and closed to
// submission (feature-map.md h).  Gives its configuration folder.
Result<std::string> create_instance(const std::vector<Instance>& present, NewInstance wanted);

// Removes what create_instance() has made.  Refuses one that is enabled, runs or has mail.
Result<> destroy_instance(const std::vector<Instance>& present, const Instance& instance);

// Fault::refused when it is the primary one, enabled or running.
Result<> check_at_rest(const Instance& instance);

} // namespace bulkhead
