// The skeleton itself: see worker.h.  One WorkerLife exists per process.
#include "worker/worker.h"

#include "config/install_paths.h"
#include "ipc/hand_over.h"
#include "ipc/master_link.h"
#include "log/log.h"
#include "mail/logged_address.h"
#include "os/files.h"
#include "os/memory.h"
#include "table/settings.h"
#include "worker/arguments.h"
#include "worker/explain.h"
#include "worker/farewell.h"
#include "worker/standalone.h"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <unordered_set>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

// Connections taken in one turn: enough to empty a burst, few enough that the
// sessions that exist go on.
constexpr int accepts_per_turn = 64;

// How old the counts in the status may be.
constexpr Milliseconds count_interval{1000};

// Descriptors that a session may need besides its own: a cleanup stream, files.
constexpr std::size_t descriptors_per_session = 2;
constexpr std::size_t spare_descriptors = 48;

// Between two lines about clients that were turned away.
constexpr Seconds refusal_interval{60};

// The log writer takes up what it did not take before (it reads every few milliseconds).
constexpr Milliseconds log_retry_time{2};

// By hand there is no master, and descriptor 5 may be anything.
bool is_control_socket(int fd)
{
    int type = 0;
    socklen_t size = sizeof type;
    return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

} // namespace

class WorkerLife
{
public:
    WorkerLife(Worker& worker, WorkerArguments arguments)
        : worker_(worker), arguments_(std::move(arguments)), idle_timer_([this] { idle_time_over(); }),
          count_timer_([this] { send(present_state()); }),
          pause_timer_([this] { set_accepting(accepting_); }), log_timer_([] {})
    {
        worker_.life_ = this;
        worker_.service_name_ = arguments_.service;
        arguments_.standalone = arguments_.standalone || arguments_.explain;
        worker_.standalone_ = arguments_.standalone;
        worker_.explaining_ = arguments_.explain;
        worker_.arguments_ = arguments_.plain;
    }

    Result<> prepare();
    int run();
    int run_standalone();

    void activity_changed();
    void retire();
    bool steps_aside();
    void pause(Milliseconds time);

private:
    Result<> read_configuration();
    void open_log();
    void wait_for_debugger() const;
    Result<> enter();
    static Result<> refuse_ids(Jail& jail);
    void listen();
    void accept_sessions(int fd);
    void no_descriptor(int listener);
    void turn_away(UniqueFd client);
    void note_refusal();
    void set_refusing(bool on);
    void watch_listeners();
    void part(Session* session);
    static Task<> run_session(WorkerLife* self, UniqueFd fd);
    static Task<> run_passed_session(WorkerLife* self, UniqueFd fd);
    Task<> serve(Session* session);
    bool is_full() const { return sessions_.size() + arriving_ >= session_limit_; }
    void session_over();
    void obey_master();
    void stop_now();
    void idle_time_over();
    bool nothing_left() const { return sessions_.empty() && arriving_ == 0 && worker_.is_idle(); }
    ipc::WorkerReport present_state() const;
    void report();
    void send(const ipc::WorkerReport& now);
    void set_accepting(bool on);

    Worker& worker_;
    WorkerArguments arguments_;
    bool supervised_ = false;
    Scope scope_;
    std::unordered_set<Session*> sessions_;
    std::size_t arriving_ = 0; // are being handed over
    std::vector<std::unique_ptr<ReadWatch>> listeners_;
    std::unique_ptr<ReadWatch> control_;
    Timer idle_timer_;
    Timer count_timer_;
    Timer pause_timer_;
    Timer log_timer_; // runs while lines wait for the log writer
    std::size_t session_limit_ = 1;
    std::uint64_t use_limit_ = 1;
    std::uint64_t served_ = 0;
    bool has_accepted_ = false;
    SteadyTime born_ = SteadyClock::now();
    bool accepting_ = false;
    bool refusing_ = false; // whom nobody accepts
    std::string refusal_;   // empty: nobody is refused
    UniqueFd reserve_;      // to refuse with when no other descriptor is left
    Farewells farewells_;
    std::uint64_t refused_ = 0; // since the last line about them
    SteadyTime refusal_told_{};
    ipc::WorkerReport reported_;
};

// "$name", "${name}" or "$(name)" in a text.
static bool mentions(std::string_view text, std::string_view name)
{
    for (auto at = text.find(name); at != text.npos; at = text.find(name, at + 1))
        if (at > 0 && std::string_view("${(").contains(text[at - 1]))
            return true;
    return false;
}

// The master tells network services of stress with an -o; only what asks for it depends on it.
static bool is_common(std::string_view main_cf, const std::vector<std::string>& overrides)
{
    return std::ranges::all_of(overrides, [](const auto& one) { return one.starts_with("stress="); }) &&
           !mentions(main_cf, "process_name") && !mentions(main_cf, "service_name") &&
           !mentions(main_cf, "stress");
}

Result<> WorkerLife::read_configuration()
{
    const std::string directory = default_config_directory();
    const std::string path = directory + "/main.cf";
    UniqueFd snapshot(supervised_ ? ipc::config_fd : -1);
    TRY(const std::string text,
        snapshot ? read_descriptor(snapshot.get(), MainCf::size_limit) : read_file(path, MainCf::size_limit));
    TRY(MainCf main, MainCf::parse(text, path));
    TRY(Config config, Config::from(std::move(main), directory, arguments_.overrides, arguments_.program));
    config.set_service_name(arguments_.service);
    worker_.common_parameters_ = is_common(text, arguments_.overrides);
    worker_.config_ = std::make_unique<Config>(std::move(config));
    TRY_VOID(worker_.common_.load(*worker_.config_));
    TRY_VOID(choose_logged_form(worker_.common_.log_address_format()));
    take_table_settings(*worker_.config_);
    table_settings().open_error_is_fatal =
        worker_.config_->get_bool("daemon_table_open_error_is_fatal").value_or(false);
    return worker_.params().load(*worker_.config_);
}

void WorkerLife::open_log()
{
    const WorkerParams& params = worker_.common_;
    log::Target target;
    target.kind = log::Target::Kind::syslog;
    if (!params.maillog_file().empty()) {
        target.kind = log::Target::Kind::postlog;
        target.json = params.maillog_format() == "json";
        target.path = "public/" + params.postlog_service();
    }
    const std::string& host = params.myhostname();
    log::open(target, params.syslog_name() + "/" + arguments_.program, host.substr(0, host.find('.')));
}

// A debugger attaches while the process still runs as root and answers to it.
void WorkerLife::wait_for_debugger() const
{
    log::info(fmt::format("waiting for a debugger: gdb -p {}", ::getpid()));
    log::flush();
    for (;;) {
        const auto status = read_file("/proc/self/status");
        if (!status || status->find("TracerPid:\t0") == std::string::npos)
            return;
        ::usleep(100'000);
    }
}

// One that may act as other users may not act as the owners of other environments.
Result<> WorkerLife::refuse_ids(Jail& jail)
{
    if (jail.policy.keep.empty())
        return {};
    RefusedIds& refused = jail.policy.refused;
    const char* const told = std::getenv(ipc::refused_ids_variable);
    TRY(const RefusedIds more, RefusedIds::parse(told != nullptr ? told : ""));
    refused.users.insert(refused.users.end(), more.users.begin(), more.users.end());
    refused.groups.insert(refused.groups.end(), more.groups.begin(), more.groups.end());
    refused = refused.without(jail.user->uid, jail.user->gid);
    return {};
}

Result<> WorkerLife::enter()
{
    Jail jail;
    jail.directory = worker_.common_.queue_directory();
    jail.change_root = arguments_.change_root;
    jail.policy = worker_.jail_policy();
    if (::geteuid() == 0) {
        TRY(jail.user, find_user(worker_.common_.mail_owner()));
        jail.policy.task_limit = worker_.common_.task_limit();
        TRY_VOID(refuse_ids(jail));
    }
    ::tzset(); // the zone file is out of reach in the jail
    return enter_jail(jail);
}

Result<> WorkerLife::prepare()
{
    supervised_ = !arguments_.standalone && is_control_socket(ipc::control_fd);
    if (supervised_)
        ::fcntl(ipc::control_fd, F_SETFD, FD_CLOEXEC);
    for (int i = 0; i < arguments_.listeners; ++i)
        ::fcntl(ipc::first_listen_fd + i, F_SETFD, FD_CLOEXEC);
    ::signal(SIGPIPE, SIG_IGN);
    log::set_verbosity(arguments_.verbosity);
    TRY_VOID(read_configuration());
    if (arguments_.standalone) {
        TRY_VOID(worker_.before_jail());
        return arguments_.explain ? enter() : Result<>{};
    }

    if (::chdir(worker_.common_.queue_directory().c_str()) != 0)
        return system_error("chdir " + worker_.common_.queue_directory());
    open_log();
    if (arguments_.debugger)
        wait_for_debugger();
    const std::size_t descriptors = raise_descriptor_limit();
    const std::size_t affordable = descriptors > spare_descriptors + descriptors_per_session
                                       ? (descriptors - spare_descriptors) / descriptors_per_session
                                       : 1;
    session_limit_ =
        std::min<std::size_t>(static_cast<std::size_t>(worker_.common_.session_limit()), affordable);
    use_limit_ = session_limit_ * static_cast<std::uint64_t>(worker_.common_.max_use());
    TRY_VOID(worker_.before_jail());
    TRY_VOID(enter());
    return worker_.after_jail();
}

void WorkerLife::listen()
{
    for (int i = 0; i < arguments_.listeners; ++i) {
        const int fd = ipc::first_listen_fd + i;
        if (arguments_.type == "unix-dgram")
            listeners_.push_back(std::make_unique<ReadWatch>(fd, [this, fd] { worker_.datagrams(fd); }));
        else
            listeners_.push_back(std::make_unique<ReadWatch>(fd, [this, fd] { accept_sessions(fd); }));
    }
    set_accepting(true);
}

void WorkerLife::set_accepting(bool on)
{
    accepting_ = on;
    watch_listeners();
}

void WorkerLife::set_refusing(bool on)
{
    refusing_ = on && !worker_.draining_ && !refusal_.empty();
    watch_listeners();
}

void WorkerLife::watch_listeners()
{
    for (const auto& listener : listeners_)
        accepting_ || refusing_ ? listener->enable() : listener->disable();
}

void WorkerLife::pause(Milliseconds time)
{
    for (const auto& listener : listeners_)
        listener->disable();
    pause_timer_.start(time);
}

// A table that changes all the time does not keep mail from moving: a process that has just come
// serves at least one.
bool WorkerLife::steps_aside()
{
    const bool is_new = !has_accepted_ && SteadyClock::now() - born_ < Seconds(1);
    if (worker_.draining_ || arguments_.standalone || is_new || !worker_.must_hand_over())
        return false;
    retire();
    return true;
}

void WorkerLife::accept_sessions(int fd)
{
    if (steps_aside()) // what waits in the socket is for the next one
        return;
    for (int i = 0; i < accepts_per_turn && (accepting_ || refusing_); ++i) {
        UniqueFd client(::accept4(fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (!client) {
            if (errno == EMFILE || errno == ENFILE)
                no_descriptor(fd);
            break;
        }
        if (!accepting_) {
            turn_away(std::move(client));
            continue;
        }
        has_accepted_ = true;
        scope_.spawn(arguments_.type == "pass" ? run_passed_session : run_session, this, std::move(client));
        if (is_full())
            set_accepting(false);
    }
    idle_timer_.cancel();
}

// Another process may have some.  When none may be started either, the reserve tells a client of it.
void WorkerLife::no_descriptor(int listener)
{
    if (accepting_) {
        log::warn("no descriptor left for another session: accepting again when one ends");
        set_accepting(false);
        return;
    }
    reserve_.reset();
    UniqueFd client(::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (client) {
        Farewells::say_and_close(std::move(client), refusal_);
        note_refusal();
    }
    reserve_ = UniqueFd(::fcntl(listener, F_DUPFD_CLOEXEC, 0));
}

void WorkerLife::turn_away(UniqueFd client)
{
    farewells_.say(std::move(client), refusal_);
    note_refusal();
}

void WorkerLife::note_refusal()
{
    ++refused_;
    const SteadyTime now = SteadyClock::now();
    if (refusal_told_ != SteadyTime{} && now - refusal_told_ < refusal_interval)
        return;
    refusal_told_ = now;
    log::warn(fmt::format("all processes of service {} are full: turned away {} clients", arguments_.service,
                          std::exchange(refused_, 0)));
}

Task<> WorkerLife::run_session(WorkerLife* self, UniqueFd fd)
{
    Session session(std::move(fd));
    co_await self->serve(&session);
    self->part(&session);
}

// A client that has not been heard out would get a reset instead of the last reply.
void WorkerLife::part(Session* session)
{
    const Stream& stream = session->stream;
    if (stream.fd() < 0 || !supervised_ || refusal_.empty() || worker_.draining_ || stream.is_silent() ||
        stream.peer_closed() || stream.is_upgraded())
        return;
    farewells_.say(UniqueFd(::fcntl(stream.fd(), F_DUPFD_CLOEXEC, 0)), {});
}

// What comes in is the place where a connection is handed over, and not yet the connection.
Task<> WorkerLife::run_passed_session(WorkerLife* self, UniqueFd fd)
{
    auto channel = std::make_unique<Stream>(std::move(fd));
    ++self->arriving_;
    auto taken = co_await ipc::take_over(*channel);
    --self->arriving_;
    if (!taken) {
        if (taken.error().fault == Fault::malformed)
            log::warn(fmt::format("session refused: {}", taken.error().context));
        self->session_over();
        co_return;
    }
    Session session(std::move(taken->client));
    session.state = std::move(taken->state);
    if (!session.state->recipient.empty())
        session.giver = std::move(channel);
    channel.reset();
    co_await self->serve(&session);
    self->part(&session);
}

Task<> WorkerLife::serve(Session* session)
{
    struct Registration {
        WorkerLife& life;
        Session* session;
        ~Registration()
        {
            life.sessions_.erase(session);
            life.session_over();
        }
    };
    sessions_.insert(session);
    const Registration registration{*this, session};
    co_await worker_.serve(*session);
}

void WorkerLife::session_over()
{
    if (++served_ >= use_limit_)
        worker_.retire();
    if (!worker_.draining_ && !accepting_ && !is_full())
        set_accepting(true);
    activity_changed();
}

void WorkerLife::activity_changed()
{
    if (!nothing_left()) {
        idle_timer_.cancel();
        return;
    }
    if (worker_.draining_)
        Loop::current().stop();
    else if (!idle_timer_.running())
        idle_timer_.start(worker_.idle_time());
}

void WorkerLife::idle_time_over()
{
    if (nothing_left())
        retire();
}

void WorkerLife::retire()
{
    if (worker_.draining_)
        return;
    worker_.draining_ = true;
    refusing_ = false;
    set_accepting(false);
    worker_.drain();
    const std::vector<Session*> all(sessions_.begin(), sessions_.end());
    for (Session* session : all)
        if (sessions_.contains(session) && session->at_rest)
            session->stream.cancel();
    report();
    activity_changed();
}

void WorkerLife::stop_now()
{
    worker_.draining_ = true;
    refusing_ = false;
    set_accepting(false);
    worker_.drain();
    const std::vector<Session*> all(sessions_.begin(), sessions_.end());
    for (Session* session : all)
        if (sessions_.contains(session))
            session->stream.cancel();
    Loop::current().stop();
}

void WorkerLife::obey_master()
{
    ipc::MasterOrder order{};
    for (;;) {
        switch (ipc::receive_order(ipc::control_fd, order)) {
        case ipc::LinkEvent::none:
            return;
        case ipc::LinkEvent::closed: // the master is dead: no orphans
            stop_now();
            return;
        case ipc::LinkEvent::message:
            break;
        }
        if (order == ipc::MasterOrder::wake)
            worker_.wake();
        else if (order == ipc::MasterOrder::drain)
            retire();
        else if (order == ipc::MasterOrder::stop)
            stop_now();
        else if (order == ipc::MasterOrder::refuse || order == ipc::MasterOrder::relent)
            set_refusing(order == ipc::MasterOrder::refuse);
    }
}

ipc::WorkerReport WorkerLife::present_state() const
{
    ipc::WorkerReport now;
    now.state = worker_.draining_ ? ipc::WorkerState::leaving
                : accepting_      ? ipc::WorkerState::available
                                  : ipc::WorkerState::full;
    now.sessions = static_cast<std::uint32_t>(sessions_.size());
    now.served = served_;
    now.wake_at = worker_.draining_ ? worker_.wake_at() : 0;
    return now;
}

void WorkerLife::report()
{
    if (!supervised_)
        return;
    const ipc::WorkerReport now = present_state();
    // Counts alone are for those who ask for the status, who can wait; states and times are news.
    if (now.state == reported_.state && now.wake_at == reported_.wake_at) {
        const bool changed = now.sessions != reported_.sessions || now.served != reported_.served;
        if (changed && !count_timer_.running())
            count_timer_.start(count_interval);
        return;
    }
    send(now);
}

void WorkerLife::send(const ipc::WorkerReport& now)
{
    if (ipc::send_report(ipc::control_fd, now))
        reported_ = now;
}

int WorkerLife::run()
{
    Loop& loop = Loop::current();
    if (supervised_) {
        control_ = std::make_unique<ReadWatch>(ipc::control_fd, [this] { obey_master(); });
        control_->enable();
    }
    SignalWatch terminate(SIGTERM, [this] { supervised_ ? retire() : stop_now(); });
    loop.on_idle([this] {
        report();
        if (!log_timer_.running() && !log::flush())
            log_timer_.start(log_retry_time);
    });
    refusal_ = worker_.refusal();
    listen();
    if (!refusal_.empty() && !listeners_.empty())
        reserve_ = UniqueFd(::fcntl(ipc::first_listen_fd, F_DUPFD_CLOEXEC, 0));
    activity_changed();
    if (!arguments_.debugger)
        release_start_memory();
    loop.run();
    report();
    log::flush(true);
    return EX_OK;
}

int WorkerLife::run_standalone()
{
    const auto fd = standalone_socket();
    if (!fd) {
        log::fatal(fd.error().context);
        return EX_OSERR;
    }
    Loop& loop = Loop::current();
    loop.on_idle([] { log::flush(); });
    Session session{UniqueFd(*fd)};
    session.standalone = true;
    struct Serve {
        static Task<> run(Worker* worker, Session* session, Loop* loop)
        {
            co_await worker->serve(*session);
            loop->stop();
        }
    };
    scope_.spawn(Serve::run, &worker_, &session, &loop);
    if (scope_.size() > 0)
        loop.run();
    session.stream.close();
    wait_for_standalone_copier();
    log::flush(true);
    return EX_OK;
}

Session::Session(UniqueFd fd) : stream(std::move(fd)) {}
Session::~Session() = default;

void Worker::datagrams(int fd)
{
    char byte = 0;
    (void)::recv(fd, &byte, 1, MSG_DONTWAIT); // a service that takes no datagrams drops them
}

void Worker::activity_changed()
{
    life_->activity_changed();
}
void Worker::retire()
{
    life_->retire();
}
bool Worker::steps_aside()
{
    return life_->steps_aside();
}
void Worker::pause_datagrams(Milliseconds time)
{
    life_->pause(time);
}

int run_worker(Worker& worker, int argc, char** argv)
{
    // Pool threads are many and wait for the disk: with a heap for each, most of what a
    // worker has would be other threads' leftovers.
    ::mallopt(M_ARENA_MAX, 2);
    log::open({}, "bulkhead", "");
    auto arguments = parse_worker_arguments({argv, static_cast<std::size_t>(argc)});
    if (!arguments) {
        log::fatal(arguments.error().context);
        return EX_USAGE;
    }
    log::set_tag(arguments->program);
    const bool standalone = arguments->standalone;
    const bool explain = arguments->explain;
    WorkerLife life(worker, std::move(*arguments));
    const auto prepared = life.prepare();
    if (!prepared) {
        log::fatal(prepared.error().context);
        log::flush(true);
        return prepared.error().fault == Fault::config ? EX_CONFIG : EX_OSERR;
    }
    if (explain)
        ::_exit(explain_once(worker));
    // Pool threads may be inside a system call: no destructors behind their backs.
    ::_exit(standalone ? life.run_standalone() : life.run());
}

} // namespace bulkhead
