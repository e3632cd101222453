#include "supervisor.h"

#include "base/text.h"
#include "log/log.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>

#include <algorithm>
#include <csignal>

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

bool is_same_folder(const std::string& a, const std::string& b)
{
    struct stat one{};
    struct stat other{};
    return a == b || (::stat(a.c_str(), &one) == 0 && ::stat(b.c_str(), &other) == 0 &&
                      one.st_dev == other.st_dev && one.st_ino == other.st_ino);
}

} // namespace

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
    TRY(EnvironmentPlan plan, plan_environment(directory_, true));
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
    on_signal(SIGTERM, [this] { stop("terminating on signal 15"); });
    on_signal(SIGINT, [this] { stop("terminating on signal 2"); });
    Loop::current().on_idle([] { log::flush(); });

    log::info(
        fmt::format("daemon started -- version {}, configuration {}", primary().plan().version, directory_));
    begun_ = true;
    for (const auto& environment : environments_) {
        for (const std::string& line : environment->plan().warnings)
            log::warn(line);
        if (!is_primary(environment->config_directory()))
            log::info(fmt::format("{}: started -- configuration {}", environment->name(),
                                  environment->config_directory()));
        environment->begin();
    }
}

int Supervisor::run()
{
    Loop::current().run();
    log::flush(true);
    return 0;
}

Result<EnvironmentPlan> Supervisor::plan(const std::string& directory)
{
    return plan_environment(directory, is_primary(directory));
}

// Two environments never share a name, a spool, a data folder or a listener.
Result<> Supervisor::check_conflicts(const EnvironmentPlan& plan) const
{
    for (const auto& other : environments_) {
        if (other->config_directory() == plan.config_directory)
            continue;
        const auto taken = [&](const std::string& place, const std::string& what) {
            return Error{Fault::config, fmt::format("{}: {} is already used by environment {} ({})", place,
                                                    what, other->name(), other->config_directory())};
        };
        if (other->name() == plan.name)
            return taken(plan.config_directory + "/main.cf", "multi_instance_name " + plan.name);
        if (is_same_folder(other->plan().queue_directory(), plan.queue_directory()))
            return taken(plan.queue_place, "queue_directory " + plan.queue_directory());
        if (is_same_folder(other->plan().data_directory, plan.data_directory))
            return taken(plan.data_place, "data_directory " + plan.data_directory);
        const std::set<std::string> keys = other->endpoint_keys();
        for (const ServicePlan& service : plan.services)
            for (const Endpoint& endpoint : service.endpoints)
                if (keys.contains(endpoint.key))
                    return taken(service.place, fmt::format("service {}: {}", service.name, endpoint.key));
    }
    return {};
}

Result<std::unique_ptr<Environment>> Supervisor::open(EnvironmentPlan plan)
{
    TRY_VOID(check_conflicts(plan));
    const bool primary = is_primary(plan.config_directory);
    const std::string directory = plan.config_directory;
    return Environment::open(
        std::move(plan), primary, processes_,
        [this, directory](std::string_view request) { return handle(directory, request); });
}

void Supervisor::refuse(const std::string& directory, const Error& error)
{
    refused_[directory] = error.context;
    log::error(fmt::format("environment {} is not started: {}", directory, error.context));
}

void Supervisor::add_secondary(const std::string& directory, std::string& problems)
{
    refused_.erase(directory);
    const auto problem = [&](const Error& error) {
        refuse(directory, error);
        problems += error.context + '\n';
    };
    if (environments_.size() >= most_environments)
        return problem(Error{Fault::limit, "too many environments"});
    auto next = plan(directory);
    if (!next)
        return problem(next.error());
    if (!next->enabled)
        return;
    auto environment = open(std::move(*next));
    if (!environment)
        return problem(environment.error());
    environments_.push_back(std::move(*environment));
    if (!begun_)
        return;
    Environment& fresh = *environments_.back();
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

std::string Supervisor::status(const std::string& directory) const
{
    std::string text = fmt::format("ok\npid {}\n", ::getpid());
    for (const Environment* environment : scope(directory)) {
        text += fmt::format("environment {} {} processes={} sessions={} {}", environment->name(),
                            environment->is_leaving() ? "leaving" : "running", environment->worker_count(),
                            environment->session_count(), environment->config_directory());
        for (const std::string& service : environment->paused_services())
            text += " throttled:" + service;
        text += '\n';
    }
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
        if (is_primary(directory))
            reload_secondaries(secondaries, problems);
    }
    return problems.empty() ? "ok\n" : "error " + problems;
}

void Supervisor::reload_one(Environment& environment, EnvironmentPlan next, std::string& problems)
{
    for (const std::string& line : next.warnings)
        log::warn(line);
    auto done = check_conflicts(next);
    if (done)
        done = environment.reload(std::move(next));
    if (done)
        return;
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
        log::info(fmt::format("{}: leaves -- configuration {}", environment->name(), directory));
        environment->drain();
    }
    std::erase_if(refused_,
                  [&](const auto& entry) { return std::ranges::find(wanted, entry.first) == wanted.end(); });
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

// ---- the end

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
        environment->stop(true);
        environment->kill_after(workers_time);
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
    std::erase_if(environments_, [](const auto& environment) {
        return environment->is_leaving() && !environment->has_workers();
    });
}

// From the loop: the caller may be inside of what goes.
void Supervisor::sweep_soon()
{
    Loop::current().post([this] { sweep(); });
}

} // namespace bulkhead
