// One service of an environment: its listening sockets, its workers, and the
// decisions when a worker is started: a client waits and no worker is ready, a wake-up time
// has come, or the spool holds work.  What a worker does with a client is none of its
// business.
#pragma once

#include "async/loop.h"
#include "ipc/master_link.h"
#include "plan.h"
#include "throttle.h"

#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace bulkhead
{

class Service;

// Whose child a process is; the supervisor looks here when one has ended.
using ProcessTable = std::unordered_map<pid_t, Service*>;

// What the services of an environment have in common; outlives them.
struct ServiceHost {
    EnvironmentPlan plan; // the running generation, without its services
    std::string label;    // in front of log lines: empty for the primary, else "NAME: "
    ProcessTable& processes;
    std::function<void()> mail_may_wait;      // the queue manager may not have heard of all mail
    std::function<Result<>()> wake;           // before the first worker: the inner sockets
    std::function<void()> process_ended;      // the last one may have gone
    std::function<std::string()> refused_ids; // RefusedIds of os/jail.h, for those who may act as others
    std::optional<Cgroup> group = {};         // of all workers, when the environment has limits
    std::size_t process_count = 0;
    std::string last_error = {}; // the last thing that was warned of
};

class Service
{
public:
    Service(ServiceHost& host, ServicePlan plan, std::vector<const Listener*> listeners);
    Service(const Service&) = delete;

    // Listens from now on, and starts what has work waiting in the spool.
    void begin();

    // Another generation: present workers finish what they do and leave, new ones start
    // when they are needed.  begin() must follow.
    void reload(ServicePlan plan, std::vector<const Listener*> listeners);

    // Sockets that were not there at the start, or are no longer.
    void listen_on(std::vector<const Listener*> listeners);

    void drain();         // workers finish and leave; none is started any more
    void drain_workers(); // the same, but new ones are started when needed
    void stop();          // workers break off
    void kill();          // SIGKILL, now

    // Has the worker look at the spool, or starts one if there is work in it.
    void look_for_mail();

    // A child of this service has ended.
    void worker_ended(pid_t pid, int status);

    const ServicePlan& plan() const { return plan_; }
    std::size_t listener_count() const { return listeners_.size(); }
    std::size_t worker_count() const { return workers_.size(); }
    std::uint64_t session_count() const;
    void append_pids(std::vector<pid_t>& to) const;
    bool is_paused() const { return pause_ && pause_->running(); }

private:
    struct Worker {
        pid_t pid = -1;
        UniqueFd link;
        std::unique_ptr<ReadWatch> watch;
        ipc::WorkerReport report;
        bool was_available = false;
        bool told_to_leave = false;
        bool link_closed = false;

        // Counts for new clients: neither leaving nor told to.
        bool is_active() const
        {
            return !told_to_leave && !link_closed && report.state != ipc::WorkerState::leaving;
        }
    };
    using Workers = std::list<Worker>;

    void listen(std::vector<const Listener*> listeners);
    void update_watch();
    void client_waits();
    void note_overflow();
    void end_overflow();
    bool has_active_worker() const;
    bool has_room() const;
    bool may_start() const;
    void start(bool with_wake_order);
    void start_if_mail_waits();
    void take_reports(Worker& worker);
    bool wake_worker();
    void wake_up();
    void wake_at_due();
    void arm_wake_at();
    void arm_wakeup();
    void pause(Milliseconds time);
    void startup_overdue();
    void order(Worker& worker, ipc::MasterOrder order);
    std::optional<Throttle::Ending> judge(const Worker& worker, int status) const;
    void log_ending(const Worker& worker, int status, std::optional<Throttle::Ending> ending) const;
    void warn(std::string_view text) const;

    ServiceHost& host_;
    ServicePlan plan_;
    std::vector<int> listeners_;
    std::list<ReadWatch> watches_;
    Workers workers_;
    Throttle throttle_;
    std::unique_ptr<Timer> pause_;
    std::unique_ptr<Timer> wakeup_;
    std::unique_ptr<Timer> wake_at_timer_;
    std::unique_ptr<Timer> startup_;
    std::int64_t wake_at_ = 0; // unix time
    SteadyTime stress_until_{};
    bool closed_ = true;      // starts nothing
    bool used_ = false;       // a client came since the last wake-up
    bool overflowed_ = false; // clients are turned away or wait: the process limit is reached
};

} // namespace bulkhead
