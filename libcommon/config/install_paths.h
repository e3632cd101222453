// Where this installation lives, found from the running program, so that a tree
// installed below any prefix works from there: DIR/sbin/x and
// DIR/libexec/bulkhead/x both know DIR.
#pragma once

#include <string>

namespace bulkhead
{

struct InstallPaths {
    std::string command_directory; // DIR/sbin
    std::string daemon_directory;  // DIR/libexec/bulkhead
    std::string config_directory;  // default configuration folder
    std::string queue_directory;   // default spool
    std::string data_directory;    // default data folder
    std::string owner;             // default mail_owner
    std::string setgid_group;      // default setgid_group
};

// Computed from /proc/self/exe at the first call and kept: the first call must come
// before chroot (Config::load makes it).  A program outside an installation
// (a unit test) gets the configured install prefix.
const InstallPaths& install_paths();

// The part of install_paths() that can be tested: folders for a program found at `executable`.
InstallPaths install_paths_for(const std::string& executable);

// The configuration folder to use when no -c was given: $MAIL_CONFIG, else the default.
std::string default_config_directory();

} // namespace bulkhead
