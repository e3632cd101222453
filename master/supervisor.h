// The running system: the primary environment and the ones that it names, signals, and
// what the administrator's commands ask for.  One bad environment never stops the
// others; a reload that fails keeps what runs.
#pragma once

#include "async/loop.h"
#include "claims.h"
#include "environment.h"
#include "folder_watch.h"

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

// A SIGHUP that comes while the sockets are being opened waits until there is
// something to reload; its default would end the master.
void hold_reload_requests();
void release_reload_requests();

class Supervisor final : private Surroundings
{
public:
    // foreground: the log may go to our own stdout.
    Supervisor(std::string config_directory, bool foreground);
    ~Supervisor() override;
    Supervisor(const Supervisor&) = delete;

    // The primary environment, opened and not yet begun.  Its errors end the start.
    Result<> open_primary();

    // The others; a refused one is an error line, no more.  Then all begin.
    void open_secondaries();
    void begin();

    // Until told to stop; the exit status.
    int run();

private:
    using Environments = std::vector<std::unique_ptr<Environment>>;

    // What the environments ask for.
    ProcessTable& processes() override { return processes_; }
    std::string refused_ids(const EnvironmentPlan& plan) const override;
    Result<Cgroup> make_group(const std::string& name) override;

    // Reading and checking both kinds of folder.
    Result<EnvironmentPlan> plan(const std::string& directory);
    void environments_changed();
    Result<std::unique_ptr<Environment>> open(EnvironmentPlan plan);
    void refuse(const std::string& directory, const Error& error);
    void add_secondary(const std::string& directory, std::string& problems);
    void let_go(Environment& environment);
    void watch_folder();
    void folder_changed(const std::vector<std::string>& directories);
    void open_log(const EnvironmentPlan& plan, bool also_standard_error);
    Environment* find(const std::string& directory) const;
    Environment& primary() const { return *environments_.front(); }
    bool is_primary(const std::string& directory) const { return directory == directory_; }

    // What commands and signals ask for; the answers of the control socket.
    std::string handle(const std::string& directory, std::string_view request);
    std::string reload(const std::string& directory);
    void reload_one(Environment& environment, EnvironmentPlan plan, std::string& problems);
    std::string refresh(const std::string& directory, bool start);
    std::string drain(const std::string& directory, Milliseconds time);
    void reload_secondaries(const std::vector<std::string>& wanted, std::string& problems);
    std::string status(const std::string& directory) const;
    std::string pids(const std::string& directory) const;
    std::string flush(const std::string& directory) const;
    std::string reopen_logs(const std::string& directory);
    std::vector<Environment*> scope(const std::string& directory) const;

    void stop(std::string_view reason);
    void stop_one(const std::string& directory);
    void terminate(std::string_view reason);
    void abort(const std::string& directory);
    void continue_stop();
    void reap();
    void sweep();
    void sweep_soon();

    std::string directory_;
    bool foreground_;
    ProcessTable processes_;
    Environments environments_; // the primary is the first
    Claims claims_;
    std::unique_ptr<FolderWatch> folder_watch_;
    std::optional<Result<CgroupTree>> groups_;   // of the first environment that asks
    std::map<std::string, std::string> refused_; // folder -> reason
    std::map<std::string, std::string> idle_;    // folder -> why it does not run: "disabled" or "stopped"
    std::vector<std::unique_ptr<SignalWatch>> signals_;
    Timer stop_timer_;
    SteadyTime stop_began_{};
    bool stopping_ = false;
    bool begun_ = false;
};

// The exit status of a start that failed, from sysexits.
int exit_status(const Error& error);

} // namespace bulkhead
