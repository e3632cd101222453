#include "supervisor.h"

#include "base/text.h"
#include "config/values.h"
#include "front_door.h"
#include "log/log.h"
#include "os/memory.h"

#include <sys/wait.h>
#include <sysexits.h>

#include <algorithm>
#include <csignal>
#include <set>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

// A stop is over within two seconds: workers get most of it, then the writers of the log,
// then nobody.
constexpr Milliseconds workers_time{1200};
constexpr Milliseconds loggers_time{1500};
constexpr Milliseconds stop_time{1800};
constexpr Milliseconds stop_step{20};

constexpr std::size_t most_environments = 10000;
constexpr Seconds longest_drain{24 * 3600};

} // namespace

// Seconds; nonsense is the shortest time.
static Milliseconds parse_drain_time(std::string_view text)
{
    const auto seconds = parse_int(text);
    return seconds ? std::clamp<Milliseconds>(Seconds(*seconds), Seconds(0), longest_drain) : Seconds(0);
}

static void change_mask(int how, int signal_number)
{
    sigset_t set;
    ::sigemptyset(&set);
    ::sigaddset(&set, signal_number);
    ::sigprocmask(how, &set, nullptr);
}

void hold_reload_requests()
{
    change_mask(SIG_BLOCK, SIGHUP);
}
void release_reload_requests()
{
    change_mask(SIG_UNBLOCK, SIGHUP);
}

int exit_status(const Error& error)
{
    switch (error.fault) {
    case Fault::not_found:
        return EX_NOUSER;
    case Fault::broken:
        return EX_CANTCREAT;
    case Fault::io:
        return EX_OSERR;
    case Fault::refused:
        return 1; // already running: what postfix start gives
    default:
        return EX_CONFIG;
    }
}

Supervisor::Supervisor(std::string config_directory, bool foreground)
    : directory_(std::move(config_directory)), foreground_(foreground),
      stop_timer_([this] { continue_stop(); })
{
}

Supervisor::~Supervisor() = default;

void Supervisor::open_log(const EnvironmentPlan& plan, bool also_standard_error)
{
    if (const auto opened = open_maillog(plan.log, "master", foreground_, also_standard_error); !opened)
        log::warn(opened.error().context);
}

Result<> Supervisor::open_primary()
{
    TRY(EnvironmentPlan plan, this->plan(directory_));
    open_log(plan, true);
    TRY(auto environment, open(std::move(plan)));
    environments_.push_back(std::move(environment));
    return {};
}

void Supervisor::open_secondaries()
{
    std::string problems; // each has been logged
    for (const std::string& directory : primary().plan().secondary_directories)
        add_secondary(directory, problems);
}

void Supervisor::begin()
{
    open_log(primary().plan(), false);
    const auto on_signal = [this](int number, std::function<void()> action) {
        signals_.push_back(std::make_unique<SignalWatch>(number, std::move(action)));
    };
    on_signal(SIGCHLD, [this] { reap(); });
    on_signal(SIGHUP, [this] { (void)reload(directory_); });
    release_reload_requests();
    on_signal(SIGTERM, [this] { terminate("terminating on signal 15"); });
    on_signal(SIGINT, [this] { stop("terminating on signal 2"); });
    Loop::current().on_idle([] { log::flush(); });

    log::info(
        fmt::format("daemon started -- version {}, configuration {}", primary().plan().version, directory_));
    if (primary().plan().rootless)
        log::warn("rootless: workers keep this user's rights and see all its files: no chroot, no users of "
                  "their own, environments are not kept apart, ports below 1024 may be out of reach");
    begun_ = true;
    for (const auto& environment : environments_) {
        for (const std::string& line : environment->plan().warnings)
            log::warn(line);
        if (!is_primary(environment->config_directory()))
            log::info(fmt::format("{}: started -- configuration {}", environment->name(),
                                  environment->config_directory()));
        environment->begin();
    }
    watch_folder();
}

void Supervisor::watch_folder()
{
    const std::string& folder = primary().plan().secondaries_folder;
    if (folder.empty())
        folder_watch_.reset();
    else if (!folder_watch_ || folder_watch_->folder() != folder)
        folder_watch_ = std::make_unique<FolderWatch>(
            folder, [this](const std::vector<std::string>& directories) { folder_changed(directories); });
}

// Each of them is taken in, read again, or let go; no other is looked at.
void Supervisor::folder_changed(const std::vector<std::string>& directories)
{
    if (stopping_ || primary().is_finishing())
        return;
    for (const std::string& directory : directories) {
        if (find(directory) != nullptr && ::access((directory + "/main.cf").c_str(), F_OK) == 0)
            (void)reload(directory);
        else
            (void)refresh(directory, false);
    }
}

int Supervisor::run()
{
    release_start_memory();
    Loop::current().run();
    log::flush(true);
    return 0;
}

// The numbers of many owners often stand in a row.
static void append_id(std::string& to, char kind, std::uint32_t first, std::uint32_t last)
{
    to += fmt::format("{}{}{}-{}", to.empty() ? "" : " ", kind, first, last);
}

static void append_ranges(std::string& to, char kind, const std::set<std::uint32_t>& ids)
{
    std::optional<std::pair<std::uint32_t, std::uint32_t>> range;
    for (const std::uint32_t id : ids) {
        if (range && range->second + 1 == id) {
            range->second = id;
            continue;
        }
        if (range)
            append_id(to, kind, range->first, range->second);
        range = {id, id};
    }
    if (range)
        append_id(to, kind, range->first, range->second);
}

std::string Supervisor::refused_ids(const EnvironmentPlan& plan) const
{
    std::set<std::uint32_t> users;
    std::set<std::uint32_t> groups{plan.setgid_group};
    for (const auto& environment : environments_) {
        const EnvironmentPlan& other = environment->plan();
        if (other.owner == plan.owner)
            continue;
        users.insert(other.owner);
        groups.insert(other.owner_group);
        groups.insert(other.setgid_group);
    }
    std::string text;
    append_ranges(text, 'u', users);
    append_ranges(text, 'g', groups);
    return text;
}

Result<Cgroup> Supervisor::make_group(const std::string& name)
{
    if (!groups_) {
        const auto folder = own_cgroup();
        groups_ = folder ? CgroupTree::take_over(*folder)
                         : Result<CgroupTree>(Error{Fault::refused, "the system has no cgroup v2"});
    }
    if (!*groups_)
        return groups_->error();
    return (*groups_)->make(name);
}

Result<EnvironmentPlan> Supervisor::plan(const std::string& directory)
{
    TRY(EnvironmentPlan plan, plan_environment(directory, is_primary(directory)));
    place_behind_front_door(plan, is_primary(directory) ? plan : primary().plan());
    return plan;
}

// What the front door offers is what they offer.
void Supervisor::environments_changed()
{
    if (begun_ && !stopping_)
        primary().restart_front_doors();
}

Result<std::unique_ptr<Environment>> Supervisor::open(EnvironmentPlan plan)
{
    const std::string directory = plan.config_directory;
    TRY(Claims::Wish wish, claims_.check(plan));
    TRY(auto environment, Environment::open(std::move(plan), is_primary(directory), *this,
                                            [this, directory](std::string_view request) {
                                                return handle(directory, request);
                                            }));
    claims_.grant(std::move(wish));
    return environment;
}

void Supervisor::refuse(const std::string& directory, const Error& error)
{
    refused_[directory] = error.context;
    log::error(fmt::format("environment {} is not started: {}", directory, error.context));
}

void Supervisor::add_secondary(const std::string& directory, std::string& problems)
{
    refused_.erase(directory);
    idle_.erase(directory);
    const auto problem = [&](const Error& error) {
        refuse(directory, error);
        problems += error.context + '\n';
    };
    if (environments_.size() >= most_environments)
        return problem(Error{Fault::limit, "too many environments"});
    auto next = plan(directory);
    if (!next)
        return problem(next.error());
    if (!next->enabled) {
        idle_[directory] = "disabled";
        return;
    }
    auto environment = open(std::move(*next));
    if (!environment)
        return problem(environment.error());
    environments_.push_back(std::move(*environment));
    if (!begun_)
        return;
    environments_changed();
    Environment& fresh = *environments_.back();
    for (const auto& other : environments_)
        if (other.get() != &fresh)
            other->replace_privileged_workers();
    log::info(fmt::format("{}: started -- configuration {}", fresh.name(), directory));
    for (const std::string& line : fresh.plan().warnings)
        log::warn(line);
    fresh.begin();
}

Environment* Supervisor::find(const std::string& directory) const
{
    for (const auto& environment : environments_)
        if (environment->config_directory() == directory && !environment->is_leaving())
            return environment.get();
    return nullptr;
}

// ---- what commands ask for

// A request at the primary's door is about the whole system, at another's about that one.
std::string Supervisor::handle(const std::string& directory, std::string_view request)
{
    if (request == "status")
        return status(directory);
    if (request == "pids")
        return pids(directory);
    if (stopping_)
        return "error the mail system is stopping\n";
    if (request == "reload")
        return reload(directory);
    if (request == "flush")
        return flush(directory);
    if (request == "logrotate")
        return reopen_logs(directory);
    if (const auto words = split(request, " "); words.size() == 2) {
        if (words[0] == "drain")
            return drain(directory, parse_drain_time(words[1]));
        if (is_primary(directory) && (words[0] == "start" || words[0] == "refresh"))
            return refresh(std::string(words[1]), words[0] == "start");
    }
    if (request == "stop")
        is_primary(directory) ? stop("terminating on signal 15")
                              : stop_one(directory); // the line that scripts know
    else if (request == "abort")
        abort(directory);
    else
        return fmt::format("error unknown request: {}\n", printable(request));
    return "ok\n";
}

std::vector<Environment*> Supervisor::scope(const std::string& directory) const
{
    std::vector<Environment*> result;
    for (const auto& environment : environments_)
        if (is_primary(directory) || environment->config_directory() == directory)
            result.push_back(environment.get());
    return result;
}

static std::string_view state_of(const Environment& environment)
{
    if (environment.is_leaving())
        return "leaving";
    return environment.is_finishing() ? "draining" : "running";
}

std::string Supervisor::status(const std::string& directory) const
{
    std::string text = fmt::format("ok\npid {}\n", ::getpid());
    for (const Environment* environment : scope(directory)) {
        text += fmt::format("environment {} {} processes={} sessions={} {}", environment->name(),
                            state_of(*environment), environment->worker_count(), environment->session_count(),
                            environment->config_directory());
        for (const std::string& service : environment->paused_services())
            text += " throttled:" + service;
        text += '\n';
        if (!environment->last_error().empty())
            text += fmt::format("last-error {} {}\n", environment->name(),
                                printable(environment->last_error(), true));
    }
    for (const auto& [folder, state] : idle_)
        if (is_primary(directory))
            text += fmt::format("idle {} {}\n", state, folder);
    for (const auto& [folder, reason] : refused_)
        if (is_primary(directory))
            text += fmt::format("refused {} {}\n", folder, reason);
    return text;
}

std::string Supervisor::pids(const std::string& directory) const
{
    std::string text = fmt::format("ok\n{}\n", ::getpid());
    for (const Environment* environment : scope(directory))
        for (const pid_t pid : environment->pids())
            text += fmt::format("{}\n", pid);
    return text;
}

std::string Supervisor::flush(const std::string& directory) const
{
    std::string problems;
    for (const Environment* environment : scope(directory))
        if (const auto done = environment->flush(); !done)
            problems += fmt::format("error {}: {}\n", environment->name(), done.error().context);
    return problems.empty() ? "ok\n" : problems;
}

std::string Supervisor::reopen_logs(const std::string& directory)
{
    open_log(primary().plan(), false);
    for (Environment* environment : scope(directory))
        environment->restart_loggers();
    return "ok\n";
}

// ---- reload

std::string Supervisor::reload(const std::string& directory)
{
    if (stopping_)
        return "error the mail system is stopping\n";
    std::string problems;
    Environment* const environment = find(directory);
    auto next = plan(directory);
    if (!next || environment == nullptr) {
        const std::string reason = next ? "no such environment" : next.error().context;
        problems = reason + '\n';
        log::error(fmt::format("reload is refused, the old configuration stays: {}", reason));
        if (environment != nullptr && is_primary(directory))
            reload_secondaries(environment->plan().secondary_directories, problems);
    } else {
        if (is_primary(directory))
            open_log(*next, false);
        log::info(fmt::format("reload -- version {}, configuration {}", next->version, directory));
        const std::vector<std::string> secondaries = next->secondary_directories;
        reload_one(*environment, std::move(*next), problems);
        if (is_primary(directory)) {
            watch_folder();
            reload_secondaries(secondaries, problems);
        }
    }
    return problems.empty() ? "ok\n" : "error " + problems;
}

void Supervisor::reload_one(Environment& environment, EnvironmentPlan next, std::string& problems)
{
    for (const std::string& line : next.warnings)
        log::warn(line);
    auto wish = claims_.check(next);
    const auto done = wish ? environment.reload(std::move(next)) : Result<>(wish.error());
    if (done) {
        claims_.grant(std::move(*wish));
        environments_changed();
        return;
    }
    problems += done.error().context + '\n';
    log::error(fmt::format("reload of {} is refused, the old configuration stays: {}",
                           environment.config_directory(), done.error().context));
}

void Supervisor::reload_secondaries(const std::vector<std::string>& wanted, std::string& problems)
{
    // First those that go: what they release may be wanted by others.
    std::map<std::string, Result<EnvironmentPlan>> plans;
    for (const std::string& directory : wanted)
        if (find(directory) != nullptr)
            plans.emplace(directory, plan(directory));
    for (const auto& environment : environments_) {
        const std::string& directory = environment->config_directory();
        if (is_primary(directory) || environment->is_leaving())
            continue;
        const auto next = plans.find(directory);
        if (next != plans.end() && (!next->second || next->second->enabled))
            continue;
        if (next != plans.end())
            idle_[directory] = "disabled";
        let_go(*environment);
    }
    const auto is_forgotten = [names = std::set<std::string>(wanted.begin(), wanted.end())](
                                  const auto& entry) { return !names.contains(entry.first); };
    std::erase_if(refused_, is_forgotten);
    std::erase_if(idle_, is_forgotten);
    sweep();
    for (const std::string& directory : wanted) {
        const auto next = plans.find(directory);
        if (next == plans.end()) {
            add_secondary(directory, problems);
        } else if (!next->second) {
            problems += next->second.error().context + '\n';
            log::error(fmt::format("reload of {} is refused, the old configuration stays: {}", directory,
                                   next->second.error().context));
        } else if (Environment* const environment = find(directory)) {
            reload_one(*environment, std::move(*next->second), problems);
        }
    }
}

void Supervisor::let_go(Environment& environment)
{
    log::info(
        fmt::format("{}: leaves -- configuration {}", environment.name(), environment.config_directory()));
    environment.drain();
    claims_.release_listeners(environment.config_directory());
    environments_changed();
}

// What main.cf of the primary and of `directory` say now of that environment, which appears or
// disappears accordingly.  No other is looked at, nor the sessions of this one if it stays.
// start: it is an error if it does not run then.
std::string Supervisor::refresh(const std::string& directory, bool start)
{
    auto listed = plan(directory_);
    if (!listed)
        return fmt::format("error {}\n", listed.error().context);
    const bool is_listed =
        std::ranges::find(listed->secondary_directories, directory) != listed->secondary_directories.end();
    Environment* const environment = find(directory);
    if (environment != nullptr) {
        const auto next = plan(directory);
        if (!is_listed || (next && !next->enabled))
            let_go(*environment);
        else if (start)
            return fmt::format("error environment {} is already running\n", environment->name());
        if (is_listed && next && !next->enabled)
            idle_[directory] = "disabled";
        sweep_soon();
        return "ok\n";
    }
    if (!is_listed) {
        refused_.erase(directory);
        idle_.erase(directory);
        return start ? fmt::format("error {}/main.cf: multi_instance_directories does not name {}\n",
                                   directory_, directory)
                     : "ok\n";
    }
    for (const auto& other : environments_)
        if (other->config_directory() == directory)
            return "error the environment is still leaving\n";
    if (!start && idle_.contains(directory) && idle_[directory] == "stopped")
        return "ok\n";
    std::string problems;
    add_secondary(directory, problems);
    if (problems.empty() && start && idle_.contains(directory))
        problems = directory + "/main.cf: multi_instance_enable is not set to yes\n";
    return problems.empty() ? "ok\n" : "error " + problems;
}

// ---- the end

// The first process of a container gets this signal, and its sessions what time was set.
void Supervisor::terminate(std::string_view reason)
{
    const Milliseconds time = primary().plan().drain_time;
    if (!foreground_ || time == Milliseconds(0) || stopping_ || primary().is_finishing())
        return stop(reason);
    log::info(fmt::format("{}: finishing what runs", reason));
    (void)drain(directory_, time);
}

// The whole system ends when the last of its environments has finished.
std::string Supervisor::drain(const std::string& directory, Milliseconds time)
{
    if (!is_primary(directory)) {
        if (Environment* const environment = find(directory)) {
            log::info(fmt::format("{}: draining", environment->name()));
            environment->finish(time, [this, directory] { stop_one(directory); });
            claims_.release_listeners(directory);
        }
        return "ok\n";
    }
    log::info("draining");
    const auto left = std::make_shared<std::size_t>(0); // shared by the environments that finish
    for (const auto& environment : environments_) {
        if (environment->is_finishing() || environment->is_leaving())
            continue;
        ++*left;
        environment->finish(time, [this, left] {
            if (--*left == 0)
                stop("terminating: drained");
        });
    }
    if (*left == 0)
        stop("terminating: drained");
    return "ok\n";
}

void Supervisor::stop(std::string_view reason)
{
    if (stopping_)
        return;
    stopping_ = true;
    stop_began_ = SteadyClock::now();
    log::info(reason);
    for (const auto& environment : environments_)
        environment->stop(false);
    stop_timer_.start(Milliseconds(1));
}

// Looks again every few milliseconds: who is still here, and for how long already.
void Supervisor::continue_stop()
{
    const auto elapsed = SteadyClock::now() - stop_began_;
    const bool working =
        std::ranges::any_of(environments_, [](const auto& e) { return e->has_workers(false); });
    const bool any =
        working || std::ranges::any_of(environments_, [](const auto& e) { return e->has_workers(); });
    if (!any || elapsed > stop_time) {
        Loop::current().stop();
        return;
    }
    if (elapsed > loggers_time || (working && elapsed > workers_time))
        for (const auto& environment : environments_)
            environment->kill();
    else if (!working)
        for (const auto& environment : environments_)
            environment->stop(true);
    stop_timer_.start(stop_step);
}

void Supervisor::stop_one(const std::string& directory)
{
    if (Environment* const environment = find(directory)) {
        log::info(fmt::format("{}: terminating on request", environment->name()));
        idle_[directory] = "stopped";
        environment->stop(true);
        environment->kill_after(workers_time);
        claims_.release_listeners(directory);
        sweep_soon();
    }
}

void Supervisor::abort(const std::string& directory)
{
    for (Environment* environment : scope(directory))
        environment->kill();
    if (is_primary(directory))
        stop("aborting on request");
    else
        sweep_soon();
}

// As the first process of a container we are also the parent of orphans that we have
// never heard of; they are buried without a word.
void Supervisor::reap()
{
    int status = 0;
    for (pid_t pid = ::waitpid(-1, &status, WNOHANG); pid > 0; pid = ::waitpid(-1, &status, WNOHANG)) {
        const auto found = processes_.find(pid);
        if (found == processes_.end())
            continue;
        Service* const service = found->second;
        processes_.erase(found);
        service->worker_ended(pid, status);
    }
    sweep();
}

void Supervisor::sweep()
{
    for (const auto& environment : environments_)
        environment->sweep();
    if (stopping_)
        return;
    std::erase_if(environments_, [this](const auto& environment) {
        const bool gone = environment->is_leaving() && !environment->has_workers();
        if (gone)
            claims_.release(environment->config_directory());
        return gone;
    });
}

// From the loop: the caller may be inside of what goes.
void Supervisor::sweep_soon()
{
    Loop::current().post([this] { sweep(); });
}

} // namespace bulkhead
