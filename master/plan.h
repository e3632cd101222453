// A generation of an environment: everything that master needs of its main.cf and
// master.cf, read, checked and reduced to plain values.  Making a plan changes
// nothing: a reload makes the new one first and keeps the old when that fails.
#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "config/maillog.h"
#include "endpoint.h"
#include "os/cgroup.h"
#include "spool/paths.h"

#include <sys/types.h>

#include <string>
#include <vector>

namespace bulkhead
{

struct ServicePlan {
    // Programs whose life the master knows something about.
    enum class Kind : unsigned char { other, pickup, cleanup, qmgr, postlogd, frontdoor };

    std::string identity; // "smtp/inet"
    std::string name;
    std::string place; // "/etc/x/master.cf: line 9"
    ServiceType type = ServiceType::unix_stream;
    Kind kind = Kind::other;
    std::string program; // path
    int limit = 0;       // processes; 0: none
    Seconds wakeup{0};
    bool wakeup_only_if_used = false;
    bool debugger = false;
    bool is_privileged = false;         // unpriv "n": may act as other users
    std::vector<std::string> options;   // -n to -D
    std::vector<std::string> arguments; // the line's own
    std::vector<Endpoint> endpoints;

    // Two processes of a singleton never run at the same time, not even while the old
    // one drains; a server of clients is replaced at once.
    bool is_singleton() const { return limit == 1 && !serves_clients(); }

    // Clients of the network, who come in here or by a front door.
    bool serves_clients() const { return type == ServiceType::inet || type == ServiceType::pass; }

    // Told by -o stress=yes that all its processes are busy.
    bool feels_stress() const { return type == ServiceType::inet && limit != 1; }

    // Options, overrides and plain arguments in the order in which they count.
    std::vector<std::string> command_line(bool stress) const;
};

struct EnvironmentPlan {
    std::string name; // multi_instance_name, "-" for a primary without one
    std::string group;
    bool enabled = true;
    std::string config_directory;
    std::string version;

    bool rootless = false; // one ordinary user for everything, no jail
    uid_t owner = 0;
    std::string owner_name;
    gid_t owner_group = 0;
    gid_t setgid_group = 0;
    SpoolLayout spool;
    std::string data_directory;
    std::string queue_place; // where main.cf says so
    std::string owner_place;
    std::string data_place;

    Seconds throttle_time{60};
    std::size_t process_limit = 1000; // workers of all services
    CgroupLimits limits;
    bool wants_limits = false; // memory or CPU weight is set
    std::string limits_place;  // where main.cf says so
    Seconds drain_time{0};     // of a primary: what SIGTERM leaves to sessions and deliveries
    MaillogSettings log;
    UniqueFd main_cf;                               // sealed: what this generation's workers read
    std::vector<std::string> worker_environment;    // NAME=value
    std::vector<std::string> secondary_directories; // of a primary
    std::string secondaries_folder;                 // multi_instance_folder, of a primary
    std::vector<ServicePlan> services;
    std::vector<std::string> warnings;

    const std::string& queue_directory() const { return spool.root; }
};

// Reads and checks a folder.  Errors name file, line, name and reason; the fault says
// what kind of trouble it is (not_found: a user, config: everything else).
Result<EnvironmentPlan> plan_environment(const std::string& config_directory, bool primary);

} // namespace bulkhead
