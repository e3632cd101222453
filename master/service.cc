#include "service.h"

#include "launch.h"
#include "log/log.h"
#include "wakeup.h"

#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <ctime>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr Seconds stress_time{1000};      // how long new workers are told of stress (feature-map.md 0)
constexpr Seconds startup_time{120};      // for a worker to become ready
constexpr std::size_t most_draining = 50; // processes beyond the limit that finish old sessions
constexpr int reports_at_once = 16;
constexpr Seconds longest_sleep{600}; // the wall clock may be set: look again

} // namespace

Service::Service(ServiceHost& host, ServicePlan plan, std::vector<const Listener*> listeners)
    : host_(host), plan_(std::move(plan)), throttle_(host.plan.throttle_time)
{
    listen(std::move(listeners));
}

void Service::listen(std::vector<const Listener*> listeners)
{
    watches_.clear();
    listeners_.clear();
    for (const Listener* listener : listeners) {
        listeners_.push_back(listener->fd());
        watches_.emplace_back(listener->fd(), [this] { client_waits(); });
    }
}

void Service::listen_on(std::vector<const Listener*> listeners)
{
    listen(std::move(listeners));
    update_watch();
}

void Service::begin()
{
    closed_ = false;
    arm_wakeup();
    start_if_mail_waits();
    update_watch();
}

void Service::reload(ServicePlan plan, std::vector<const Listener*> listeners)
{
    drain_workers();
    plan_ = std::move(plan);
    throttle_.reset(host_.plan.throttle_time);
    pause_.reset();
    listen(std::move(listeners));
}

void Service::drain()
{
    closed_ = true;
    watches_.clear();
    drain_workers();
}

void Service::drain_workers()
{
    for (Worker& worker : workers_)
        order(worker, ipc::MasterOrder::drain);
    update_watch();
}

void Service::stop()
{
    closed_ = true;
    watches_.clear();
    for (Worker& worker : workers_)
        order(worker, ipc::MasterOrder::stop);
}

void Service::kill()
{
    closed_ = true;
    watches_.clear();
    for (const Worker& worker : workers_) {
        ::kill(-worker.pid, SIGKILL);
        ::kill(worker.pid, SIGKILL);
    }
}

void Service::order(Worker& worker, ipc::MasterOrder order)
{
    if (order == ipc::MasterOrder::drain || order == ipc::MasterOrder::stop)
        worker.told_to_leave = true;
    ipc::send_order(worker.link.get(), order);
}

bool Service::has_active_worker() const
{
    return std::ranges::any_of(workers_, &Worker::is_active);
}

// Whether the process limits allow one more.  That of the environment never keeps a service from its
// first worker: the others may be waiting for what it does.
bool Service::has_room() const
{
    if (!workers_.empty() && host_.process_count >= host_.plan.process_limit)
        return false;
    if (plan_.limit == 0)
        return true;
    const auto limit = static_cast<std::size_t>(plan_.limit);
    if (plan_.is_singleton())
        return workers_.empty();
    const auto active = static_cast<std::size_t>(std::ranges::count_if(workers_, &Worker::is_active));
    return active < limit && workers_.size() < limit + most_draining;
}

bool Service::may_start() const
{
    // also one that has just died of its start, and is not buried yet
    const bool one_is_starting = std::ranges::any_of(workers_, [](const Worker& worker) {
        return worker.report.state == ipc::WorkerState::starting && !worker.told_to_leave;
    });
    return !closed_ && !is_paused() && !one_is_starting && has_room();
}

// The master listens itself only while nobody else does: no worker is ready or about
// to be.  At the process limit it listens for the first client that finds all busy.
void Service::update_watch()
{
    const bool served = std::ranges::any_of(workers_, [](const Worker& worker) {
        return worker.is_active() && worker.report.state != ipc::WorkerState::full;
    });
    if (has_room() || served)
        end_overflow();
    const bool full = !has_room() && has_active_worker() && !overflowed_;
    const bool wanted = !closed_ && !served && (may_start() || (full && !is_paused()));
    for (ReadWatch& watch : watches_)
        wanted ? watch.enable() : watch.disable();
}

void Service::client_waits()
{
    used_ = true;
    if (may_start())
        start(false);
    else if (!has_room())
        note_overflow();
    update_watch();
}

void Service::note_overflow()
{
    overflowed_ = true;
    // One of them has the time to say no, where a client can be told (smtpd).
    const auto full = std::ranges::find_if(workers_, &Worker::is_active);
    if (full != workers_.end())
        order(*full, ipc::MasterOrder::refuse);
    const SteadyTime now = SteadyClock::now();
    const bool is_news = now >= stress_until_;
    stress_until_ = now + stress_time;
    const bool own = host_.process_count < host_.plan.process_limit;
    if (is_news)
        warn(fmt::format(
            "service \"{}\" ({}) has reached {} limit \"{}\": new clients are turned away or have to wait",
            plan_.name, plan_.place, own ? "its process" : "environment_process",
            own ? static_cast<std::size_t>(plan_.limit) : host_.plan.process_limit));
}

void Service::end_overflow()
{
    if (!overflowed_)
        return;
    overflowed_ = false;
    for (Worker& worker : workers_)
        if (worker.is_active())
            order(worker, ipc::MasterOrder::relent);
}

void Service::start(bool with_wake_order)
{
    if (const auto woken = host_.wake(); !woken) {
        warn(fmt::format("{} -- throttling", woken.error().context));
        pause(throttle_.note(Throttle::Ending::bad_startup, SteadyClock::now()));
        return;
    }
    Launch what{.program = plan_.program,
                .words = plan_.command_line(SteadyClock::now() < stress_until_),
                .environment = host_.plan.worker_environment,
                .main_cf = host_.plan.main_cf.get(),
                .listeners = listeners_};
    what.environment.push_back(fmt::format("MAIL_SERVICE_MAXPROC={}", plan_.limit));
    if (plan_.is_privileged)
        what.environment.push_back(fmt::format("{}={}", ipc::refused_ids_variable, host_.refused_ids()));
    auto launched = launch(what);
    if (!launched) {
        warn(fmt::format("service \"{}\" ({}): {} -- throttling", plan_.name, plan_.place,
                         launched.error().context));
        pause(throttle_.note(Throttle::Ending::bad_startup, SteadyClock::now()));
        return;
    }
    // Before it has read its configuration, let alone a stranger's bytes.
    if (host_.group)
        if (const auto added = host_.group->add(launched->pid); !added)
            warn(added.error().context);
    ++host_.process_count;
    wake_at_ = 0;
    Worker& worker = workers_.emplace_back();
    worker.pid = launched->pid;
    worker.link = std::move(launched->link);
    worker.watch = std::make_unique<ReadWatch>(worker.link.get(), [this, &worker] {
        take_reports(worker);
        update_watch();
    });
    worker.watch->enable();
    host_.processes[worker.pid] = this;
    if (with_wake_order)
        order(worker, ipc::MasterOrder::wake);
    if (!plan_.debugger) {
        if (!startup_)
            startup_ = std::make_unique<Timer>([this] { startup_overdue(); });
        startup_->start(startup_time);
    }
    log::trace(fmt::format("{}{}: started process {}", host_.label, plan_.identity, worker.pid));
}

void Service::startup_overdue()
{
    for (const Worker& worker : workers_) {
        if (worker.report.state != ipc::WorkerState::starting || worker.told_to_leave)
            continue;
        warn(fmt::format("process {} pid {} was not ready after {} seconds", plan_.program, worker.pid,
                         startup_time.count()));
        ::kill(-worker.pid, SIGABRT);
    }
}

// What a worker says is a hint for scheduling and nothing more: one that lies harms
// its own service only.
void Service::take_reports(Worker& worker)
{
    for (int i = 0; i < reports_at_once; ++i) {
        const ipc::LinkEvent event = ipc::receive_report(worker.link.get(), worker.report);
        if (event == ipc::LinkEvent::none)
            return;
        if (event == ipc::LinkEvent::closed) {
            worker.watch->disable();
            worker.link_closed = true; // it is ending, or lives on deaf
            return;
        }
        if (worker.report.state == ipc::WorkerState::available ||
            worker.report.state == ipc::WorkerState::full) {
            worker.was_available = true;
            if (startup_)
                startup_->cancel();
        }
    }
}

void Service::worker_ended(pid_t pid, int status)
{
    const auto found = std::ranges::find(workers_, pid, &Worker::pid);
    if (found == workers_.end())
        return;
    --host_.process_count;
    host_.process_ended();
    take_reports(*found); // one that was sent just before the end may still wait
    const bool was_told = found->told_to_leave;
    const auto ending = judge(*found, status);
    log_ending(*found, status, ending);
    if (found->report.state == ipc::WorkerState::leaving && found->report.wake_at > 0)
        wake_at_ = found->report.wake_at;
    workers_.erase(found);
    if (closed_)
        return;

    if (ending)
        pause(throttle_.note(*ending, SteadyClock::now()));
    if (wake_at_ > 0)
        arm_wake_at();
    // A queue manager that was told to leave, or was killed, cannot say when it is wanted again.
    if (was_told || status != 0)
        start_if_mail_waits();
    update_watch();
    // What it had acknowledged and not yet announced lies in incoming/.
    if (plan_.kind == ServicePlan::Kind::cleanup && status != 0)
        host_.mail_may_wait();
}

void Service::look_for_mail()
{
    if (closed_ || wake_worker())
        return;
    if (may_start())
        start_if_mail_waits();
    else
        wake_at_ = std::time(nullptr); // when the one that leaves has gone, or the pause is over
    update_watch();
}

// nullopt: it ended as it should.
std::optional<Throttle::Ending> Service::judge(const Worker& worker, int status) const
{
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        return Throttle::Ending::killed;
    const bool was_ready = worker.was_available || worker.report.state == ipc::WorkerState::leaving;
    if (!was_ready && !worker.told_to_leave)
        return Throttle::Ending::bad_startup;
    if (status != 0)
        return Throttle::Ending::crash;
    const bool was_useful = worker.told_to_leave || worker.report.served > 0 || worker.report.wake_at > 0;
    return was_useful ? std::nullopt : std::optional(Throttle::Ending::unused);
}

void Service::log_ending(const Worker& worker, int status, std::optional<Throttle::Ending> ending) const
{
    if (closed_ && WIFSIGNALED(status) && worker.told_to_leave)
        return; // by our own hand, at the end of a stop
    if (WIFSIGNALED(status))
        warn(fmt::format("process {} pid {} killed by signal {}", plan_.program, worker.pid,
                         WTERMSIG(status)));
    else if (WEXITSTATUS(status) != 0)
        warn(fmt::format("process {} pid {} exit status {}", plan_.program, worker.pid, WEXITSTATUS(status)));
    if (ending == Throttle::Ending::bad_startup)
        warn(fmt::format("{}: bad command startup -- throttling", plan_.program));
}

void Service::pause(Milliseconds time)
{
    if (time == Milliseconds(0))
        return;
    if (time < Milliseconds(host_.plan.throttle_time))
        warn(fmt::format("service \"{}\" ({}): workers keep dying -- pausing for {} s", plan_.name,
                         plan_.place, time.count() / 1000));
    if (!pause_)
        pause_ = std::make_unique<Timer>([this] {
            start_if_mail_waits();
            if (wake_at_ > 0)
                arm_wake_at();
            update_watch();
        });
    pause_->start(time);
}

void Service::start_if_mail_waits()
{
    if (has_active_worker() || !may_start())
        return;
    const bool waits = (plan_.kind == ServicePlan::Kind::pickup && has_dropped_mail(host_.plan.spool)) ||
                       (plan_.kind == ServicePlan::Kind::qmgr && has_queued_mail(host_.plan.spool));
    if (waits)
        start(true);
}

void Service::arm_wakeup()
{
    if (plan_.wakeup == Seconds(0)) {
        wakeup_.reset();
        return;
    }
    if (!wakeup_)
        wakeup_ = std::make_unique<Timer>([this] { wake_up(); });
    wakeup_->start(plan_.wakeup);
}

bool Service::wake_worker()
{
    const auto active = std::ranges::find_if(workers_, &Worker::is_active);
    if (active == workers_.end())
        return false;
    order(*active, ipc::MasterOrder::wake);
    return true;
}

// The wakeup column.  A sleeping program is started only if it may have something to do: qmgr
// has said itself when, pickup's folder tells.
void Service::wake_up()
{
    if (closed_)
        return;
    wakeup_->start(plan_.wakeup);
    if (wake_worker())
        return;
    if (plan_.kind == ServicePlan::Kind::pickup)
        start_if_mail_waits();
    else if (plan_.kind != ServicePlan::Kind::qmgr && may_start() && (used_ || !plan_.wakeup_only_if_used))
        start(true);
    used_ = false;
    update_watch();
}

void Service::arm_wake_at()
{
    if (!wake_at_timer_)
        wake_at_timer_ = std::make_unique<Timer>([this] { wake_at_due(); });
    const std::int64_t remaining = wake_at_ - std::time(nullptr);
    wake_at_timer_->start(Seconds(std::clamp<std::int64_t>(remaining, 1, longest_sleep.count())));
}

void Service::wake_at_due()
{
    if (closed_ || wake_at_ == 0 || has_active_worker())
        return;
    if (wake_at_ > std::time(nullptr) || !may_start())
        arm_wake_at();
    else
        start(true);
    update_watch();
}

std::uint64_t Service::session_count() const
{
    std::uint64_t sessions = 0;
    for (const Worker& worker : workers_)
        sessions += worker.report.sessions;
    return sessions;
}

void Service::append_pids(std::vector<pid_t>& to) const
{
    for (const Worker& worker : workers_)
        to.push_back(worker.pid);
}

void Service::warn(std::string_view text) const
{
    host_.last_error = text;
    log::warn(fmt::format("{}{}", host_.label, text));
}

} // namespace bulkhead
