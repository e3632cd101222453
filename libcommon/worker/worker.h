// The life of every worker, in one place.  A program names what is its own (a
// Worker) and hands over to run_worker(), which parses the master's arguments,
// reads the configuration, lets the worker open what needs privilege, enters the
// jail, accepts and counts sessions, reports to the master, drains and leaves.
#pragma once

#include "async/scope.h"
#include "async/stream.h"
#include "async/task.h"
#include "config/config.h"
#include "config/params.h"
#include "os/jail.h"

#include <memory>
#include <string>
#include <vector>

namespace bulkhead
{

// Parameters that every worker reads.
struct WorkerParams : ParamSet {
    Param<std::string> mail_owner{this, "mail_owner", "bulkhead",
                                  "the user that owns the spool and runs the workers"};
    Param<std::string> queue_directory{this, "queue_directory", "/var/spool/bulkhead",
                                       "the spool, and the jail"};
    Param<std::string> myhostname{this, "myhostname", "", "the host name of this mail system"};
    Param<std::string> mail_name{this, "mail_name", "Bulkhead",
                                 "the name in greetings, Received: headers and notices"};
    Param<int> max_use{this, "max_use", "100", at_least(1),
                       "sessions of a process, times its session limit, before it is replaced"};
    Param<Seconds> max_idle{this, "max_idle", "100s", at_least(1),
                            "how long a process waits for work before it leaves"};
    Param<int> session_limit{this, "process_session_limit", "4000", at_least(1),
                             "sessions that one process serves at once"};
    Param<int> task_limit{this, "environment_task_limit", "10000", at_least(100),
                          "processes and threads that an environment's user may have at once"};
    Param<Seconds> ipc_timeout{this, "ipc_timeout", "3600s", at_least(1),
                               "time limit of a request to another worker"};
    Param<std::string> syslog_name{this, "syslog_name", "", "the first part of the tag of log lines"};
    Param<std::string> syslog_facility{this, "syslog_facility", "mail", "the syslog facility"};
    Param<std::string> maillog_file{this, "maillog_file", "", "log to this file instead of syslog"};
    Param<std::string> maillog_format{this, "maillog_format", "classic",
                                      "the form of log lines: classic, json"};
    Param<std::string> log_address_format{this, "info_log_address_format", "external",
                                          "quoting of addresses in the log: external, or internal"};
    Param<std::string> postlog_service{this, "postlog_service_name", "postlog",
                                       "the service that writes maillog_file"};
    Param<std::string> hash_queue_names{this, "hash_queue_names", "deferred, defer",
                                        "queues with sub-directories"};
    Param<int> hash_queue_depth{this, "hash_queue_depth", "1", between(1, 16), "levels of sub-directories"};
    Param<bool> long_queue_ids{this, "enable_long_queue_ids", "no", "queue ids that are never used twice"};
};

namespace ipc
{
struct SessionState;
}

// One accepted connection, or stdin and stdout in the hand-run form.
class Session
{
public:
    explicit Session(UniqueFd fd);
    ~Session();

    Stream stream;

    // Services of type pass: what was said before the connection came here, and whom to ask about it.
    std::unique_ptr<ipc::SessionState> state;
    std::unique_ptr<Stream> giver;

    bool standalone = false; // -S: no master, no jail

    // Between two requests: a session that drains ends here.
    bool at_rest = false;

    // What the client was promised for its next request, which counts as begun: a worker that
    // leaves waits for it.  Let go with the session.
    std::shared_ptr<void> promise{};
};

namespace ipc
{
class Message;
}

class Worker
{
public:
    virtual ~Worker() = default;

    virtual ParamSet& params() = 0;
    virtual JailPolicy jail_policy() const { return {}; }

    // What needs privilege or paths outside the jail: tables, keys, resolv.conf.
    virtual Result<> before_jail() { return {}; }

    // In the jail, the loop not yet running: start what works without a session.
    virtual Result<> after_jail() { return {}; }

    // One client's dialogue; the session dies when it returns.
    virtual Task<> serve(Session& session) = 0;

    // Datagram services only: fd is readable.
    virtual void datagrams(int fd);

    // The wake-up time of master.cf has come.
    virtual void wake() {}

    // False while there is work besides sessions; the worker stays.
    virtual bool is_idle() const { return true; }

    // A table or key that was read before the jail has changed: asked before each connection and each
    // request on a kept one, so that nothing is done by what stood there before.  Says why in the log
    // when it is true; the worker leaves then, and the master starts another.
    virtual bool must_hand_over() { return false; }

    // Told to leave (reload, idle, worn out): begin no new work.  is_idle() and the
    // sessions say when it is over.
    virtual void drain() {}

    // Unix time when a worker should be started again after this one has left.
    virtual std::int64_t wake_at() const { return 0; }

    // What a client is told that finds all processes of the service full; empty: it waits until one is free.
    virtual std::string refusal() const { return {}; }

    // How long to stay without work; the default is max_idle.
    virtual Seconds idle_time() const { return common().max_idle(); }

    // -E: what it would do with a message of these attributes; nothing is done (ipc/explain.h).
    // Called outside of the jail, with the rights of mail_owner.
    virtual Task<ipc::Message> explain(const ipc::Message& question);

    // ---- what the skeleton gives ----
    const Config& config() const { return *config_; }
    const WorkerParams& common() const { return common_; }
    const std::string& service_name() const { return service_name_; }
    bool is_draining() const { return draining_; }
    // Run by hand with -S, perhaps by an ordinary user: what needs privilege is out of reach.
    bool is_standalone() const { return standalone_; }
    // Run with -E; is_standalone() too.
    bool is_explaining() const { return explaining_; }

    // The parameters are those of all services: no -o stands in this one's line, and nothing in main.cf
    // depends on who reads it.
    bool has_common_parameters() const { return common_parameters_; }

    // The plain arguments of the service line (pipe's user= and argv=).
    const std::vector<std::string>& arguments() const { return arguments_; }

    // Work has ended or begun outside of a session: look at is_idle() again.
    void activity_changed();

    // Finish what runs and leave: a table changed, the worker is worn out.
    void retire();

    // Retires when must_hand_over() says so; false: go on.
    bool steps_aside();

    // Datagram services: lets what comes in this time wait in the socket, to be read together.
    void pause_datagrams(Milliseconds time);

private:
    friend class WorkerLife;
    std::unique_ptr<Config> config_;
    WorkerParams common_;
    std::string service_name_;
    std::vector<std::string> arguments_;
    bool common_parameters_ = false;
    bool draining_ = false;
    bool standalone_ = false;
    bool explaining_ = false;
    class WorkerLife* life_ = nullptr;
};

// Runs until the worker leaves; the exit status of the process.
int run_worker(Worker& worker, int argc, char** argv);

} // namespace bulkhead
