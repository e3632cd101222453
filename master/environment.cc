#include "environment.h"

#include "log/log.h"
#include "wakeup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

// While it finishes: the queue manager needs a moment to take up what was deferred.
constexpr Milliseconds first_look{600};
constexpr Milliseconds next_look{200};

// Without a worker for so long: who comes a moment later finds the sockets still there.
constexpr Milliseconds sleep_delay{5000};

Error broken(const std::string& place, std::string_view name, const Error& error)
{
    const Fault fault = error.fault == Fault::refused ? Fault::refused : Fault::broken;
    return {fault, fmt::format("{}: {}: {}", place, name, error.context), error.number};
}

Result<> make_folder(const std::string& path, mode_t mode)
{
    if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST)
        return system_error("create " + path);
    struct stat st{};
    if (::stat(path.c_str(), &st) != 0)
        return system_error("stat " + path);
    if (!S_ISDIR(st.st_mode))
        return Error{Fault::io, path + " is not a directory"};
    return {};
}

// Only root writes where the locks are.
Result<> make_pid_folder(const std::string& queue_directory)
{
    for (const std::string& path : {queue_directory, queue_directory + "/pid"}) {
        TRY_VOID(make_folder(path, 0755));
        struct stat st{};
        if (::lstat(path.c_str(), &st) != 0)
            return system_error("stat " + path);
        if (st.st_uid != ::geteuid())
            return Error{Fault::io, path + " is not owned by root"};
        if ((st.st_mode & 022) != 0)
            return Error{Fault::io, path + " is group or other writable"};
    }
    return {};
}

// Tries for a moment: a command that looks whether the lock is free holds it while it looks.
Result<LockFile> acquire_lock(const std::string& path, mode_t mode)
{
    for (int tries = 0; tries < 5; ++tries) {
        auto lock = LockFile::acquire(path, mode);
        if (lock || lock.error().fault != Fault::refused)
            return lock;
        ::usleep(10'000);
    }
    return LockFile::acquire(path, mode);
}

// The data folder belongs to the mail owner and to nobody else.
Result<> make_data_folder(const EnvironmentPlan& plan)
{
    TRY_VOID(make_folder(plan.data_directory, 0700));
    const UniqueFd folder(::open(plan.data_directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct stat st{};
    if (!folder || ::fstat(folder.get(), &st) != 0)
        return system_error("open " + plan.data_directory);
    // A folder that was made by hand a moment ago; one with somebody's files is a mistake.
    std::error_code unreadable;
    if (st.st_uid == 0 && !std::filesystem::is_empty(plan.data_directory, unreadable))
        return Error{Fault::io, plan.data_directory + " is owned by root, not by mail_owner"};
    if (st.st_uid == 0 && ::fchown(folder.get(), plan.owner, plan.owner_group) != 0)
        return system_error("change the owner of " + plan.data_directory);
    if (st.st_uid != 0 && st.st_uid != plan.owner)
        return Error{Fault::io, fmt::format("{} is owned by user {}, not by mail_owner", plan.data_directory,
                                            st.st_uid)};
    if ((st.st_mode & 002) != 0)
        return Error{Fault::io, plan.data_directory + " is writable for everybody"};
    return {};
}

} // namespace

Environment::Environment(EnvironmentPlan plan, bool primary, Surroundings& around)
    : around_(around), host_{.plan = std::move(plan),
                             .label = {},
                             .processes = around.processes(),
                             .mail_may_wait = {},
                             .wake = {},
                             .process_ended = {},
                             .refused_ids = {}}
{
    host_.wake = [this] { return wake(); };
    host_.process_ended = [this] { sleep_later(); };
    host_.refused_ids = [this] { return around_.refused_ids(host_.plan); };
    host_.mail_may_wait = [this] {
        for (const auto& service : services_)
            if (service->plan().kind == ServicePlan::Kind::qmgr)
                service->look_for_mail();
    };
    if (!primary)
        host_.label = host_.plan.name + ": ";
}

Result<std::unique_ptr<Environment>> Environment::open(EnvironmentPlan plan, bool primary,
                                                       Surroundings& around, ControlDoor::Handler control)
{
    std::unique_ptr<Environment> self(new Environment(std::move(plan), primary, around));
    std::vector<ServicePlan> services = std::exchange(self->host_.plan.services, {});
    TRY_VOID(self->take_locks());
    TRY_VOID(self->open_endpoints(services));
    for (ServicePlan& service : services) {
        auto listeners = self->listeners_of(service);
        self->services_.push_back(
            std::make_unique<Service>(self->host_, std::move(service), std::move(listeners)));
    }
    TRY(self->control_,
        ControlDoor::open(self->plan().queue_directory() + "/pid/control", std::move(control)));
    return self;
}

// The lock on the spool comes before any change in it: it may be another master's.
Result<> Environment::take_locks()
{
    const EnvironmentPlan& wanted = host_.plan;
    const std::string& queue = wanted.queue_directory();
    if (const auto made = make_pid_folder(queue); !made)
        return broken(wanted.queue_place, "queue_directory", made.error());
    auto pid_lock = acquire_lock(queue + "/pid/master.pid", 0644);
    if (!pid_lock)
        return broken(wanted.queue_place, "queue_directory", pid_lock.error());
    if (const auto written = pid_lock->write_pid(::getpid()); !written)
        return broken(wanted.queue_place, "queue_directory", written.error());
    locks_.push_back(std::move(*pid_lock));

    if (const auto made = make_data_folder(wanted); !made)
        return broken(wanted.data_place, "data_directory", made.error());
    auto data_lock = acquire_lock(wanted.data_directory + "/master.lock", 0600);
    if (!data_lock)
        return broken(wanted.data_place, "data_directory", data_lock.error());
    locks_.push_back(std::move(*data_lock));

    const SpoolOwners owners{wanted.owner, wanted.owner_group, wanted.setgid_group};
    if (const auto made = ensure_spool(wanted.spool, owners); !made)
        return broken(wanted.queue_place, "queue_directory", made.error());
    return {};
}

// Opens what is missing.  On failure everything is as before.
Result<> Environment::open_endpoints(const std::vector<ServicePlan>& services)
{
    ListenerMap fresh;
    for (const ServicePlan& service : services) {
        for (const Endpoint& endpoint : service.endpoints) {
            const auto present = listeners_.find(endpoint.key);
            if (endpoint.is_inner && !awake_)
                continue;
            if (present != listeners_.end() && present->second.is_reachable())
                continue;
            auto listener = Listener::open(endpoint, plan().owner, plan().owner_group);
            if (!listener)
                return Error{
                    Fault::io,
                    fmt::format("{}: service {}: {}", service.place, service.name, listener.error().context),
                    listener.error().number};
            fresh.emplace(endpoint.key, std::move(*listener));
        }
    }
    for (auto& [key, listener] : fresh) {
        if (const auto lost = listeners_.find(key); lost != listeners_.end()) {
            replaced_.push_back(std::move(lost->second)); // a service still watches it
            listeners_.erase(lost);
        }
        listeners_.emplace(key, std::move(listener));
    }
    return {};
}

std::vector<const Listener*> Environment::listeners_of(const ServicePlan& service) const
{
    std::vector<const Listener*> result;
    for (const Endpoint& endpoint : service.endpoints)
        if (const auto found = listeners_.find(endpoint.key); found != listeners_.end())
            result.push_back(&found->second);
    return result;
}

// Called before each worker's start; the first one finds the sockets of its siblings.
Result<> Environment::wake()
{
    if (awake_)
        return {};
    for (const auto& service : services_) {
        for (const Endpoint& endpoint : service->plan().endpoints) {
            if (!endpoint.is_inner || listeners_.contains(endpoint.key))
                continue;
            auto listener = Listener::open(endpoint, plan().owner, plan().owner_group);
            if (!listener)
                return Error{Fault::io,
                             fmt::format("{}: service {}: {}", service->plan().place, service->plan().name,
                                         listener.error().context),
                             listener.error().number};
            listeners_.emplace(endpoint.key, std::move(*listener));
        }
    }
    awake_ = true;
    listen_on_all();
    return {};
}

void Environment::listen_on_all()
{
    for (const auto& service : services_)
        if (auto listeners = listeners_of(service->plan()); listeners.size() != service->listener_count())
            service->listen_on(std::move(listeners));
}

// The writer of the log serves the master too, and asks nobody.
void Environment::sleep_later()
{
    if (!awake_ || leaving_)
        return;
    if (!sleep_)
        sleep_ = std::make_unique<Timer>([this] { sleep(); });
    sleep_->start(sleep_delay);
}

// Its siblings' sockets go as they came: nobody is there who could ask.
void Environment::sleep()
{
    if (has_workers(false) || leaving_ || !awake_)
        return; // the end of the last one starts the time again
    awake_ = false;
    std::vector<Listener> closed;
    for (const auto& service : services_)
        for (const Endpoint& endpoint : service->plan().endpoints)
            if (const auto found = listeners_.find(endpoint.key);
                endpoint.is_inner && found != listeners_.end()) {
                closed.push_back(std::move(found->second));
                listeners_.erase(found);
            }
    listen_on_all(); // lets go before they are closed
}

// What is not delegated to us cannot be had; the log says so once per generation.
void Environment::set_limits()
{
    if (!plan().wants_limits && !host_.group)
        return;
    if (!host_.group) {
        auto made = around_.make_group(plan().name == "-" ? "primary" : "environment-" + plan().name);
        if (!made) {
            log::warn(fmt::format("{}{}: limits of memory and CPU have no effect: {}", host_.label,
                                  plan().limits_place, made.error().context));
            return;
        }
        host_.group.emplace(std::move(*made));
    }
    if (const auto done = host_.group->limit(plan().limits); !done)
        log::warn(fmt::format("{}{}: {}", host_.label, plan().limits_place, done.error().context));
}

void Environment::begin()
{
    set_limits();
    for (const auto& service : services_)
        service->begin();
}

// Workers live in the spool and under the user that they were started with.
Result<> Environment::check_same_place(const EnvironmentPlan& next) const
{
    const auto refuse = [](const std::string& place, std::string_view name) {
        return Error{Fault::config,
                     fmt::format("{}: {} cannot change while the system runs: stop and start", place, name)};
    };
    if (next.queue_directory() != plan().queue_directory())
        return refuse(next.queue_place, "queue_directory");
    if (next.data_directory != plan().data_directory)
        return refuse(next.data_place, "data_directory");
    if (next.owner != plan().owner)
        return refuse(next.config_directory + "/main.cf", "mail_owner");
    return {};
}

Result<> Environment::reload(EnvironmentPlan next)
{
    TRY_VOID(check_same_place(next));
    const SpoolOwners owners{next.owner, next.owner_group, next.setgid_group};
    if (const auto made = ensure_spool(next.spool, owners); !made)
        return broken(next.queue_place, "queue_directory", made.error());

    std::vector<ServicePlan> services = std::exchange(next.services, {});
    TRY_VOID(open_endpoints(services));
    std::set<std::string> wanted;
    for (const ServicePlan& service : services)
        for (const Endpoint& endpoint : service.endpoints)
            wanted.insert(endpoint.key);
    host_.plan = std::move(next);

    std::vector<std::unique_ptr<Service>> before = std::move(services_);
    services_.clear();
    for (ServicePlan& service : services) {
        auto listeners = listeners_of(service);
        const auto same = std::ranges::find_if(
            before, [&](const auto& old) { return old && old->plan().identity == service.identity; });
        if (same != before.end()) {
            (*same)->reload(std::move(service), std::move(listeners));
            services_.push_back(std::move(*same));
        } else {
            services_.push_back(std::make_unique<Service>(host_, std::move(service), std::move(listeners)));
        }
    }
    for (auto& old : before) {
        if (!old)
            continue;
        old->drain();
        retired_.push_back(std::move(old));
    }
    for (const std::string& key : compare_endpoints(endpoint_keys(), wanted).closed)
        listeners_.erase(key);
    replaced_.clear();
    begin();
    sweep();
    return {};
}

void Environment::finish(Milliseconds time, std::function<void()> done)
{
    if (finished_)
        return;
    finished_ = std::move(done);
    finish_until_ = SteadyClock::now() + time;
    for (const auto& service : services_) {
        if (!service->plan().serves_clients())
            continue;
        service->drain();
        for (const Endpoint& endpoint : service->plan().endpoints)
            listeners_.erase(endpoint.key);
    }
    if (has_queued_mail(plan().spool))
        (void)flush();
    finishing_ = std::make_unique<Timer>([this] { look_whether_finished(); });
    finishing_->start(first_look);
}

// Clients are gone and nothing is on its way, twice in a row: between two queues a message
// can be overlooked once.
void Environment::look_whether_finished()
{
    const bool served = std::ranges::any_of(services_, [](const auto& service) {
        return service->plan().serves_clients() && service->worker_count() > 0;
    });
    const bool quiet = !served && !has_moving_mail(plan().spool);
    quiet_looks_ = quiet ? quiet_looks_ + 1 : 0;
    if (quiet_looks_ < 2 && SteadyClock::now() < finish_until_) {
        finishing_->start(next_look);
        return;
    }
    finished_();
}

void Environment::drain()
{
    leaving_ = true;
    for (const auto& service : services_)
        service->drain();
    listeners_.clear();
}

void Environment::stop(bool with_loggers)
{
    leaving_ = true;
    for (const auto* list : {&services_, &retired_})
        for (const auto& service : *list)
            if (with_loggers || service->plan().kind != ServicePlan::Kind::postlogd)
                service->stop();
}

void Environment::kill()
{
    leaving_ = true;
    for (const auto* list : {&services_, &retired_})
        for (const auto& service : *list)
            service->kill();
}

void Environment::kill_after(Milliseconds time)
{
    end_ = std::make_unique<Timer>([this] { kill(); });
    end_->start(time);
}

void Environment::replace_privileged_workers()
{
    for (const auto& service : services_)
        if (service->plan().is_privileged && service->plan().kind != ServicePlan::Kind::postlogd)
            service->drain_workers();
}

void Environment::restart_loggers()
{
    for (const auto& service : services_)
        if (service->plan().kind == ServicePlan::Kind::postlogd)
            service->drain_workers();
}

void Environment::restart_front_doors()
{
    for (const auto& service : services_)
        if (service->plan().kind == ServicePlan::Kind::frontdoor)
            service->drain_workers();
}

// The letters that postqueue -f writes: flush and ignore all that was remembered of
// dead destinations (queue-format.md 11).
Result<> Environment::flush() const
{
    TRY(const UniqueFd fd, connect_unix(plan().queue_directory() + "/public/qmgr"));
    return write_all(fd.get(), "FADI");
}

void Environment::sweep()
{
    std::erase_if(retired_, [](const auto& service) { return service->worker_count() == 0; });
}

bool Environment::has_workers(bool with_loggers) const
{
    for (const auto* list : {&services_, &retired_})
        for (const auto& service : *list)
            if (service->worker_count() > 0 &&
                (with_loggers || service->plan().kind != ServicePlan::Kind::postlogd))
                return true;
    return false;
}

std::vector<pid_t> Environment::pids() const
{
    std::vector<pid_t> result;
    for (const auto* list : {&services_, &retired_})
        for (const auto& service : *list)
            service->append_pids(result);
    return result;
}

std::size_t Environment::worker_count() const
{
    return pids().size();
}

std::uint64_t Environment::session_count() const
{
    std::uint64_t sessions = 0;
    for (const auto* list : {&services_, &retired_})
        for (const auto& service : *list)
            if (service->plan().serves_clients())
                sessions += service->session_count();
    return sessions;
}

std::vector<std::string> Environment::paused_services() const
{
    std::vector<std::string> result;
    for (const auto& service : services_)
        if (service->is_paused())
            result.push_back(service->plan().identity);
    return result;
}

std::set<std::string> Environment::endpoint_keys() const
{
    std::set<std::string> keys;
    for (const auto& [key, listener] : listeners_)
        keys.insert(key);
    return keys;
}

std::size_t Environment::listener_count() const
{
    return listeners_.size();
}

} // namespace bulkhead
