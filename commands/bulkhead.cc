// bulkhead: starts, stops and asks the mail system of a configuration folder.
//
//     bulkhead [-c DIR] [-v] start | start-fg | stop | abort | reload | flush | check |
//                            drain [SECONDS] | status [--json | --pids] | logrotate | spool ... | user ... |
//                            /COMMAND ...
//
// By the name of postfix it is what scripts of Postfix call: they find all its verbs.
// DIR may be the folder of any environment of a running master: on the primary's a verb is
// about the whole system, on another's about that environment.
#include "base/clock.h"
#include "base/text.h"
#include "config/config.h"
#include "config/environment.h"
#include "config/install_paths.h"
#include "config/maillog.h"
#include "control_client.h"
#include "environment_command.h"
#include "log/log.h"
#include "os/files.h"
#include "route_command.h"
#include "spool_environment.h"
#include "spool_inspector.h"
#include "spool_report.h"
#include "status_report.h"
#include "user_command.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr int stop_patience = 10'000; // milliseconds; the master needs two seconds at most
constexpr int poll_step = 10;
constexpr Seconds usual_drain_time{30};
constexpr std::uint64_t longest_drain = 24 * 3600;

struct Request {
    std::string directory;
    int verbosity = 0;
    std::span<char*> arguments; // behind the verb
};

// What a verb needs to know of the folder that it is about.
struct MailSystem {
    std::string directory;
    std::string queue_directory;
    std::string product; // "the Bulkhead mail system"
    MaillogSettings log;
    std::string rotate_suffix;
    std::string compressor;
    Seconds drain_time{0};
};

Result<MailSystem> open_mail_system(const Request& request)
{
    TRY(const Config config, Config::load(request.directory, {}, "bulkhead"));
    MailSystem system;
    system.directory = request.directory;
    system.queue_directory = config.queue_directory();
    system.product = fmt::format("the {} mail system", config.get("mail_name"));
    system.log = MaillogSettings::from(config);
    system.rotate_suffix = config.raw("maillog_file_rotate_suffix").value_or("");
    system.compressor = config.get("maillog_file_compressor");
    TRY(const std::int64_t drain_time, config.get_seconds("shutdown_drain_time"));
    system.drain_time = Seconds(drain_time);
    // Standard output is the master's in the foreground; other commands have a person to tell.
    if (system.log.file == "/dev/stdout")
        log::open({}, "postfix-script", system.log.host);
    else if (const auto opened = open_maillog(system.log, "postfix-script", false, true); !opened)
        log::warn(opened.error().context);
    return system;
}

// "/x" from "/x/"; a relative path from the folder of the caller.
std::string absolute(const std::string& directory)
{
    std::string path = directory;
    if (!path.starts_with('/')) {
        const std::unique_ptr<char, decltype(&std::free)> here(::getcwd(nullptr, 0), std::free);
        path = fmt::format("{}/{}", here ? here.get() : "", path);
    }
    while (path.size() > 1 && path.ends_with('/'))
        path.pop_back();
    return path;
}

int fail(std::string_view text)
{
    log::fatal(text);
    log::flush(true);
    return 1;
}

// What this command is about to do is in the log before what the master says of it.
void announce(std::string_view text)
{
    log::info(text);
    log::flush(true);
}

std::vector<std::string> master_command(const Request& request, const char* mode)
{
    std::vector<std::string> words{install_paths().daemon_directory + "/master", "-c", request.directory,
                                   mode};
    for (int i = 0; i < request.verbosity; ++i)
        words.emplace_back("-v");
    return words;
}

[[noreturn]] void execute(const std::vector<std::string>& words)
{
    std::vector<char*> pointers;
    for (const std::string& word : words)
        pointers.push_back(const_cast<char*>(word.c_str()));
    pointers.push_back(nullptr);
    ::execvp(pointers[0], pointers.data());
    fmt::print(stderr, "bulkhead: fatal: {}\n", system_error("exec " + words[0]).context);
    std::_Exit(EX_OSFILE);
}

int run_and_wait(const std::vector<std::string>& words)
{
    const pid_t child = ::fork();
    if (child < 0)
        return EX_OSERR;
    if (child == 0)
        execute(words);
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EX_SOFTWARE;
}

// The same, for the log only: when a start fails, the person reads the reason and nothing else.
void announce_start(const MailSystem& system, bool foreground)
{
    if (const auto opened = open_maillog(system.log, "postfix-script", foreground, false); !opened)
        log::warn(opened.error().context);
    announce(fmt::format("starting {}", system.product));
}

// The lock of a master that was just killed may outlive it by a moment: only one that
// answers, or keeps its lock, is there.
bool is_running(const MailSystem& system)
{
    for (int tries = 50; tries > 0 && running_master(system.queue_directory); --tries) {
        if (ask_master(system.queue_directory, "status"))
            return true;
        ::usleep(20'000);
    }
    return running_master(system.queue_directory).has_value();
}

// The spool of the primary environment whose running master is to start this one too; empty
// when there is none, and it gets a master of its own.
std::string primary_spool(const Request& request)
{
    const std::string primary = absolute(default_config_directory());
    if (primary == request.directory)
        return {};
    const auto config = Config::load(primary, {}, "bulkhead");
    if (!config)
        return {};
    const std::vector<std::string> listed = secondary_directories(*config);
    const bool is_listed = std::find(listed.begin(), listed.end(), request.directory) != listed.end();
    return is_listed && running_master(config->queue_directory()) ? config->queue_directory() : "";
}

// One that has just been stopped may still be leaving.
int start_in_running_master(const Request& request, const std::string& primary)
{
    for (int waited = 0;; waited += poll_step) {
        const auto answer = ask_master(primary, "start " + request.directory);
        if (answer)
            return 0;
        if (waited >= stop_patience || answer.error().context.find("still leaving") == std::string::npos)
            return fail(answer.error().context);
        ::usleep(poll_step * 1000);
    }
}

int start(const Request& request, const MailSystem& system)
{
    const std::string primary = primary_spool(request);
    if (primary.empty()
            ? is_running(system)
            : running_master(system.queue_directory) && ask_master(system.queue_directory, "status"))
        return fail(fmt::format("{} is already running", system.product));
    if (!primary.empty()) {
        announce(fmt::format("starting {}", system.product));
        return start_in_running_master(request, primary);
    }
    announce_start(system, false);
    const int status = run_and_wait(master_command(request, "-w"));
    if (status != 0)
        (void)fail("mail system startup failed");
    else
        fmt::print(stderr, "{}/postfix-script: starting {}\n", system.log.syslog_name, system.product);
    return status;
}

int start_in_foreground(const Request& request, const MailSystem& system)
{
    if (is_running(system))
        return fail(fmt::format("{} is already running", system.product));
    announce_start(system, true);
    execute(master_command(request, "-d"));
}

int wait_for_end(const MailSystem& system, int patience)
{
    for (int waited = 0; running_master(system.queue_directory); waited += poll_step) {
        if (waited >= patience)
            return fail(fmt::format("{} does not end", system.product));
        ::usleep(poll_step * 1000);
    }
    return 0;
}

// Asks for the end and waits for it.  A master that does not answer gets the signal.
int end(const MailSystem& system, std::string_view request, std::string_view doing)
{
    const auto pid = running_master(system.queue_directory);
    if (!pid)
        return fail(fmt::format("{} is not running", system.product));
    announce(fmt::format("{} {}", doing, system.product));
    if (!ask_master(system.queue_directory, request))
        ::kill(*pid, SIGTERM);
    return wait_for_end(system, stop_patience);
}

int stop(const Request&, const MailSystem& system)
{
    return end(system, "stop", "stopping");
}

int abort_now(const Request&, const MailSystem& system)
{
    return end(system, "abort", "aborting");
}

void report_what_is_left(const std::string& directory)
{
    const auto environment = open_environment(directory);
    if (!environment)
        return;
    const auto counts = count_messages(environment->spool);
    if (counts)
        log::info(fmt::format("environment {}: {} messages are left: {}", environment->name, counts->total(),
                              counts_text(*counts)));
}

// No new clients; sessions and deliveries are finished, what waits is tried once more.
int drain(const Request& request, const MailSystem& system)
{
    Seconds time = system.drain_time > Seconds(0) ? system.drain_time : usual_drain_time;
    if (!request.arguments.empty()) {
        const auto given = parse_unsigned(request.arguments[0]);
        if (!given || *given > longest_drain)
            return fail(fmt::format("drain: not a number of seconds: {}", request.arguments[0]));
        time = Seconds(*given);
    }
    if (!running_master(system.queue_directory))
        return fail(fmt::format("{} is not running", system.product));
    announce(fmt::format("draining {}", system.product));
    std::vector<std::string> directories{system.directory};
    if (const auto lines = ask_master(system.queue_directory, "status"); lines) {
        directories.clear();
        for (const EnvironmentStatus& environment : parse_status(*lines))
            if (environment.state == "running")
                directories.push_back(environment.config_directory);
    }
    const auto asked = ask_master(system.queue_directory, fmt::format("drain {}", time.count()));
    if (!asked)
        return fail(asked.error().context);
    const int code = wait_for_end(system, static_cast<int>(time.count()) * 1000 + stop_patience);
    for (const std::string& directory : directories)
        report_what_is_left(directory);
    return code;
}

// A system that is down is stopped already.
int quick_stop(const Request& request, const MailSystem& system)
{
    return running_master(system.queue_directory) ? stop(request, system) : 0;
}

int reload(const Request&, const MailSystem& system)
{
    if (!running_master(system.queue_directory))
        return fail(fmt::format("{} is not running", system.product));
    announce(fmt::format("refreshing {}", system.product));
    const auto answer = ask_master(system.queue_directory, "reload");
    if (answer)
        return 0;
    // the master has logged each problem itself
    for (const std::string_view line : split(answer.error().context, "\n"))
        fmt::print(stderr, "postfix/postfix-script: error: {}\n", line);
    return 1;
}

int flush(const Request&, const MailSystem& system)
{
    if (!running_master(system.queue_directory))
        return fail(fmt::format("{} is not running", system.product));
    const auto answer = ask_master(system.queue_directory, "flush");
    return answer ? 0 : fail(answer.error().context);
}

int check(const Request& request)
{
    execute(master_command(request, "-n"));
}

// A configuration of an older version is read as it is: nothing in it needs a new form.
int upgrade_configuration(const Request& request, const MailSystem&)
{
    return run_and_wait(master_command(request, "-n"));
}

int refuse_tls(const Request&)
{
    fmt::print(stderr, "bulkhead: fatal: tls: not implemented; make keys with openssl(1)\n");
    return 1;
}

int print_pids(const MailSystem& system)
{
    const auto pids = ask_master(system.queue_directory, "pids");
    if (!pids)
        return 1;
    for (const std::string& pid : *pids)
        fmt::print("{}\n", pid);
    return 0;
}

int status(const Request& request, const MailSystem& system)
{
    if (!request.arguments.empty() && std::string_view(request.arguments[0]) == "--pids")
        return print_pids(system);
    const bool json = !request.arguments.empty() && std::string_view(request.arguments[0]) == "--json";
    const auto pid = running_master(system.queue_directory);
    if (!pid) {
        if (json)
            fmt::print("{}", status_json(0, {}, 0));
        else
            log::info(fmt::format("{} is not running", system.product));
        return 1;
    }
    if (!json)
        log::info(fmt::format("{} is running: PID: {}", system.product, *pid));
    const auto lines = ask_master(system.queue_directory, "status");
    if (!lines)
        return 0;
    std::vector<EnvironmentStatus> environments = parse_status(*lines);
    for (EnvironmentStatus& environment : environments)
        look_into_spool(environment);
    const std::int64_t now = std::time(nullptr);
    fmt::print("{}", json ? status_json(*pid, environments, now) : status_text(environments, now));
    return 0;
}

Result<std::string> rotated_name(const MailSystem& system)
{
    const std::time_t now = std::time(nullptr);
    std::tm local{};
    ::localtime_r(&now, &local);
    char suffix[256];
    const std::size_t size = std::strftime(suffix, sizeof suffix, system.rotate_suffix.c_str(), &local);
    if (size == 0 || std::string_view(suffix, size).find('/') != std::string_view::npos)
        return Error{Fault::config, "bad maillog_file_rotate_suffix: " + system.rotate_suffix};
    return fmt::format("{}.{}", system.log.file, std::string_view(suffix, size));
}

int rotate_log(const Request&, const MailSystem& system)
{
    if (system.log.file.empty() || system.log.file == "/dev/stdout")
        return fail("logrotate needs a log file in maillog_file");
    if (const auto allowed = check_maillog_path(system.log); !allowed)
        return fail(allowed.error().context);
    const auto name = rotated_name(system);
    if (!name)
        return fail(name.error().context);
    if (::renameat2(AT_FDCWD, system.log.file.c_str(), AT_FDCWD, name->c_str(), RENAME_NOREPLACE) != 0)
        return fail(system_error(fmt::format("rename {} to {}", system.log.file, *name)).context);
    if (running_master(system.queue_directory)) {
        if (const auto answer = ask_master(system.queue_directory, "logrotate"); !answer)
            return fail(answer.error().context);
        ::sleep(1); // the old writer has a line or two in hand
    }
    return run_and_wait({system.compressor, *name}) == 0
               ? 0
               : fail(fmt::format("{} {} failed", system.compressor, *name));
}

int inspect_spool(const Request& request)
{
    ::setenv("MAIL_CONFIG", request.directory.c_str(), 1);
    return spool_inspector(request.arguments);
}

int manage_users(const Request& request)
{
    return user_command(request.directory, request.arguments);
}

int explain_route(const Request& request)
{
    return route_command(request.directory, request.arguments);
}

// main.cf has values that nobody can understand: a master that runs is asked all the same, so
// that the reason why it stays as it is stands in its log too.
void reload_in_vain(const Request& request)
{
    const auto main = MainCf::read(request.directory + "/main.cf");
    const Setting* const place = main ? main->find("queue_directory") : nullptr;
    const std::string queue = place != nullptr ? place->value : install_paths().queue_directory;
    if (main && queue.starts_with('/') && running_master(queue))
        (void)ask_master(queue, "reload");
}

// A verb is about a mail system, which is opened first, or does that itself.
struct Verb {
    std::string_view name;
    int (*on_system)(const Request&, const MailSystem&);
    int (*alone)(const Request&);
    std::string_view help;
};

constexpr std::array<Verb, 20> verbs{{
    {"start", start, nullptr, "start in the background; returns when the system is ready"},
    {"start-fg", start_in_foreground, nullptr,
     "the same in the foreground, also as a container's first process"},
    {"stop", stop, nullptr, "end all workers and the master"},
    {"quick-stop", quick_stop, nullptr, "the same; no error when it is not running"},
    {"drain", drain, nullptr, "no new clients, finish what runs, for at most so many SECONDS; then stop"},
    {"abort", abort_now, nullptr, "kill them"},
    {"reload", reload, nullptr, "read the configuration again; no session is dropped"},
    {"flush", flush, nullptr, "try to deliver everything in the queue now"},
    {"check", nullptr, check, "check the configuration, make or repair the spool folders"},
    {"status", status, nullptr,
     "is it running, and what do the environments do? --json; --pids: all process numbers"},
    {"logrotate", rotate_log, nullptr, "put the log file aside, compressed, and begin a new one"},
    {"set-permissions", nullptr, check, "the same as check"},
    {"upgrade-configuration", upgrade_configuration, nullptr, "the same as check: nothing needs a new form"},
    {"post-install", upgrade_configuration, nullptr, "the same, whatever follows"},
    {"tls", nullptr, refuse_tls, "not implemented"},
    {"1-fg", start_in_foreground, nullptr, "the same as start-fg"},
    {"spool", nullptr, inspect_spool, "look into the queues, wait for a condition"},
    {"route", nullptr, explain_route, "which way would a message take, and why?"},
    {"user", nullptr, manage_users, "add, passwd, list, delete: who may log in"},
    {"help", nullptr, nullptr, "this list"},
}};

int usage(std::FILE* to, int exit_code)
{
    fmt::print(to, "usage: bulkhead [-c DIR] [-v] VERB | /COMMAND [ARGUMENT...]\n");
    for (const Verb& verb : verbs)
        fmt::print(to, "  {:<21} {}\n", verb.name, verb.help);
    return exit_code;
}

// As postfix: one line, and the exit code that its scripts know.
int refuse_word(std::string_view program, std::string_view word)
{
    const std::string text = word.empty() ? "no command given" : fmt::format("unknown command: {}", word);
    if (program == "postfix") {
        fmt::print(stderr, "postfix: fatal: {} (postfix help lists them)\n", text);
        return 1;
    }
    fmt::print(stderr, "bulkhead: {}\n", text);
    return usage(stderr, EX_USAGE);
}

// Without root a system that is the caller's alone: its spool is, or will be.
bool is_own_system(const Request& request)
{
    const auto config = Config::load(request.directory, {}, "bulkhead");
    if (!config)
        return false;
    const std::string queue = config->queue_directory();
    struct stat st{};
    if (::stat(queue.c_str(), &st) == 0)
        return st.st_uid == ::geteuid();
    return ::access(queue.substr(0, queue.rfind('/')).c_str(), W_OK) == 0;
}

int perform(const Verb& verb, const Request& request)
{
    if (verb.alone == nullptr && verb.on_system == nullptr)
        return usage(stdout, 0);
    if (verb.name != "spool" && ::geteuid() != 0 && !is_own_system(request)) {
        fmt::print(stderr, "bulkhead: fatal: only root can do this\n");
        return EX_NOPERM;
    }
    if (verb.alone != nullptr)
        return verb.alone(request);
    log::set_tag("postfix/postfix-script");
    const auto system = open_mail_system(request);
    if (!system) {
        if (verb.on_system == reload)
            reload_in_vain(request);
        (void)fail(system.error().context);
        return EX_CONFIG;
    }
    const int code = verb.on_system(request, *system);
    log::flush(true);
    return code;
}

// `postfix /COMMAND`: for scripts that work on one environment.
int run_in_environment(const Request& request, std::span<char*> words)
{
    const auto config = Config::load(request.directory, {}, "bulkhead");
    if (config)
        return become_environment_command(*config, words);
    fmt::print(stderr, "bulkhead: fatal: {}\n", config.error().context);
    return EX_CONFIG;
}

int run(int argc, char** argv)
{
    const std::string_view path = argc > 0 ? argv[0] : "bulkhead";
    const std::string_view program = path.substr(path.rfind('/') + 1);
    if (argc == 2 && std::string_view(argv[1]) == "--help")
        return usage(stdout, 0);
    Request request;
    request.directory = default_config_directory();
    ::opterr = program != "postfix";
    for (int option = ::getopt(argc, argv, "+c:vD"); option != -1; option = ::getopt(argc, argv, "+c:vD")) {
        if (option == 'c')
            request.directory = ::optarg;
        else if (option == 'v')
            ++request.verbosity;
        else if (option != 'D')
            return refuse_word(program, argv[::optind - 1]);
    }
    request.directory = absolute(request.directory);
    if (::optind >= argc)
        return refuse_word(program, {});
    const std::string_view word = argv[::optind];
    request.arguments = std::span(argv + ::optind + 1, argv + argc);
    if (word.starts_with('/'))
        return run_in_environment(request, std::span(argv + ::optind, argv + argc));
    for (const Verb& verb : verbs)
        if (verb.name == word)
            return perform(verb, request);
    return refuse_word(program, word);
}

} // namespace

} // namespace bulkhead

int main(int argc, char** argv)
{
    return bulkhead::run(argc, argv);
}
