// One running environment: its locks, its spool, its sockets and its services, from
// the moment that its plan is accepted until its last worker is gone.
#pragma once

#include "control.h"
#include "os/files.h"
#include "service.h"

#include <memory>
#include <set>
#include <string>
#include <vector>

namespace bulkhead
{

class Environment
{
public:
    // Takes the locks, makes the spool and opens the sockets; starts nothing.  Faults:
    // refused: a lock is held; broken: spool or data folder; io: sockets.
    static Result<std::unique_ptr<Environment>> open(EnvironmentPlan plan, bool primary,
                                                     ProcessTable& processes, ControlDoor::Handler control);
    Environment(const Environment&) = delete;

    void begin();

    // All or nothing: an error leaves the running generation as it is.
    Result<> reload(EnvironmentPlan plan);

    void drain();                 // no more clients; workers finish
    void stop(bool with_loggers); // workers break off; those that write the log come last
    void kill();
    void kill_after(Milliseconds time);

    // Sends the writers of the log home; the next line starts them anew.
    void restart_loggers();

    // Asks the queue manager to try everything now.
    Result<> flush() const;

    // Forgets services that a reload has removed and whose workers are gone.
    void sweep();

    bool is_leaving() const { return leaving_; }
    bool has_workers(bool with_loggers = true) const;
    std::size_t worker_count() const;
    std::uint64_t session_count() const;
    std::vector<pid_t> pids() const;
    std::vector<std::string> paused_services() const;
    std::set<std::string> endpoint_keys() const;
    const EnvironmentPlan& plan() const { return host_.plan; }
    const std::string& name() const { return host_.plan.name; }
    const std::string& config_directory() const { return host_.plan.config_directory; }

private:
    Environment(EnvironmentPlan plan, bool primary, ProcessTable& processes);
    Result<> take_locks();
    Result<> open_endpoints(const std::vector<ServicePlan>& services);
    std::vector<const Listener*> listeners_of(const ServicePlan& service) const;
    Result<> check_same_place(const EnvironmentPlan& plan) const;

    ServiceHost host_;
    std::vector<LockFile> locks_;
    ListenerMap listeners_;
    std::vector<Listener> replaced_; // during a reload: their services have not let go yet
    std::vector<std::unique_ptr<Service>> services_;
    std::vector<std::unique_ptr<Service>> retired_;
    std::unique_ptr<ControlDoor> control_;
    std::unique_ptr<Timer> end_;
    bool leaving_ = false;
};

} // namespace bulkhead
