// What only one environment can have: a name, a spool, a data folder, a user, a listener.  Knows who
// has what, so that a second one is refused with both names, however many there are.
#pragma once

#include "plan.h"

#include <string>
#include <unordered_map>
#include <vector>

namespace bulkhead
{

class Claims
{
public:
    // What an environment asks for.
    struct Wish {
        std::string name;
        std::string config_directory;
        std::vector<std::string> keys;
    };

    // Fault::config naming both when something that `plan` wants belongs to another folder's environment.
    Result<Wish> check(const EnvironmentPlan& plan) const;

    // From now on the environment has what it asked for and nothing else.
    void grant(Wish wish);

    void release(const std::string& config_directory);

    // It listens no more, and has the rest until it is released.
    void release_listeners(const std::string& config_directory);

private:
    struct Owner {
        std::string name;
        std::string config_directory;
    };

    std::unordered_map<std::string, Owner> owners_;                       // by claim
    std::unordered_map<std::string, std::vector<std::string>> by_folder_; // claims of a folder
};

} // namespace bulkhead
