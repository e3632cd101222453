// bulkhead: starts, stops and asks the mail system of a configuration folder.
//
//     bulkhead [-c DIR] [-v] start | start-fg | stop | abort | reload | flush | check |
//                            drain [SECONDS] | status [--json | --pids] | logrotate | spool ... | route ... |
//                            user ... | /COMMAND ...
//
// By the name of postfix it is what scripts of Postfix call: they find all its verbs.
// DIR may be the folder of any environment of a running master: on the primary's a verb is
// about the whole system, on another's about that environment.
#include "config/config.h"
#include "config/install_paths.h"
#include "environment_command.h"
#include "life_verbs.h"
#include "log/log.h"
#include "mail_system.h"
#include "route_command.h"
#include "spool_inspector.h"
#include "status_verbs.h"
#include "user_command.h"

#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

int refuse_tls(const Request&)
{
    fmt::print(stderr, "bulkhead: fatal: tls: not implemented; make keys with openssl(1)\n");
    return 1;
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
