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

// What all environments of a master have in common.
class Surroundings
{
public:
    virtual ~Surroundings() = default;

    virtual ProcessTable& processes() = 0;

    // As whom no worker of `plan` may act: owners of the others, who may join the queue's group.
    virtual std::string refused_ids(const EnvironmentPlan& plan) const = 0;

    // A control group below the master's; Fault::refused when the system does not give us any.
    virtual Result<Cgroup> make_group(const std::string& name) = 0;
};

class Environment
{
public:
    // Takes the locks, makes the spool and opens the sockets; starts nothing.  Faults:
    // refused: a lock is held; broken: spool or data folder; io: sockets.
    static Result<std::unique_ptr<Environment>> open(EnvironmentPlan plan, bool primary, Surroundings& around,
                                                     ControlDoor::Handler control);
    Environment(const Environment&) = delete;

    void begin();

    // All or nothing: an error leaves the running generation as it is.
    Result<> reload(EnvironmentPlan plan);

    // No more clients from the network; what runs is finished and the queue tried once more,
    // for at most `time`.  Then `done`, from the loop.
    void finish(Milliseconds time, std::function<void()> done);

    void drain();                 // no more clients; workers finish
    void stop(bool with_loggers); // workers break off; those that write the log come last
    void kill();
    void kill_after(Milliseconds time);

    // Sends those home that may act as other users: the next ones know better as whom they may not.
    void replace_privileged_workers();

    // Sends the writers of the log home; the next line starts them anew.
    void restart_loggers();

    // New ones start with what the other environments offer now.
    void restart_front_doors();

    // Asks the queue manager to try everything now.
    Result<> flush() const;

    // Forgets services that a reload has removed and whose workers are gone.
    void sweep();

    bool is_leaving() const { return leaving_; }
    bool is_finishing() const { return finishing_ != nullptr; }
    bool is_awake() const { return awake_; }
    std::size_t listener_count() const;
    const std::string& last_error() const { return host_.last_error; }
    bool has_workers(bool with_loggers = true) const;
    std::size_t worker_count() const;
    std::uint64_t session_count() const; // of clients from the network
    std::vector<pid_t> pids() const;
    std::vector<std::string> paused_services() const;
    std::set<std::string> endpoint_keys() const;
    const EnvironmentPlan& plan() const { return host_.plan; }
    const std::string& name() const { return host_.plan.name; }
    const std::string& config_directory() const { return host_.plan.config_directory; }

private:
    Environment(EnvironmentPlan plan, bool primary, Surroundings& around);
    void set_limits();
    Result<> take_locks();
    Result<> open_endpoints(const std::vector<ServicePlan>& services);
    std::vector<const Listener*> listeners_of(const ServicePlan& service) const;
    Result<> check_same_place(const EnvironmentPlan& plan) const;
    Result<> wake();
    void listen_on_all();
    void sleep_later();
    void sleep();
    void look_whether_finished();

    Surroundings& around_;
    ServiceHost host_;
    std::vector<LockFile> locks_;
    ListenerMap listeners_;
    std::vector<Listener> replaced_; // during a reload: their services have not let go yet
    std::vector<std::unique_ptr<Service>> services_;
    std::vector<std::unique_ptr<Service>> retired_;
    std::unique_ptr<ControlDoor> control_;
    std::unique_ptr<Timer> end_;
    std::unique_ptr<Timer> sleep_; // runs while there is no worker
    std::unique_ptr<Timer> finishing_;
    std::function<void()> finished_;
    SteadyTime finish_until_{};
    int quiet_looks_ = 0;
    bool awake_ = false; // has its inner sockets
    bool leaving_ = false;
};

} // namespace bulkhead
