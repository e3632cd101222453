// master: the root process that owns the listening sockets of all environments and
// starts, watches, replaces and stops their workers.  It reads configuration, never mail.
//
//     master -c DIR [-d | -w | -t | -n] [-v]
//         -d  stay in the foreground (also as the first process of a container)
//         -w  become a daemon; returns when it is ready or has failed (the default)
//         -t  test: exit 0 if no master runs on this spool, 1 if one does
//         -n  check the configuration and repair the spools of all environments; start nothing
#include "base/text.h"
#include "config/install_paths.h"
#include "log/log.h"
#include "supervisor.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

struct Options {
    enum class Mode { daemon, foreground, test, check } mode = Mode::daemon;
    std::string directory = default_config_directory();
    int verbosity = 0;
};

void complain(std::string_view text)
{
    fmt::print(stderr, "master: {}\n", text);
}

std::optional<Options> parse(int argc, char** argv)
{
    Options options;
    for (int option = ::getopt(argc, argv, "c:dwtnv"); option != -1;
         option = ::getopt(argc, argv, "c:dwtnv")) {
        switch (option) {
        case 'c':
            options.directory = ::optarg;
            break;
        case 'd':
            options.mode = Options::Mode::foreground;
            break;
        case 'w':
            options.mode = Options::Mode::daemon;
            break;
        case 't':
            options.mode = Options::Mode::test;
            break;
        case 'n':
            options.mode = Options::Mode::check;
            break;
        case 'v':
            ++options.verbosity;
            break;
        default:
            return std::nullopt;
        }
    }
    while (options.directory.size() > 1 && options.directory.ends_with('/'))
        options.directory.pop_back();
    return ::optind == argc && options.directory.starts_with('/') ? std::optional(options) : std::nullopt;
}

// Thousands of sockets: as many descriptors as the system gives us.
void raise_descriptor_limit()
{
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        ::setrlimit(RLIMIT_NOFILE, &limit);
    }
}

// Descriptors that the caller left open are not ours to keep, nor the workers' to get.
void close_strange_descriptors()
{
    ::close_range(3, ~0U, 0);
    for (int fd = 0; fd <= 2; ++fd)
        if (::fcntl(fd, F_GETFD) < 0)
            (void)!::open("/dev/null", O_RDWR | O_NOCTTY);
}

void redirect_to_null(int first, int last)
{
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC | O_NOCTTY);
    for (int fd = first; null >= 0 && fd <= last; ++fd)
        ::dup2(null, fd);
    if (null > last)
        ::close(null);
}

int test_lock(const Options& options)
{
    const auto plan = plan_environment(options.directory, true);
    if (!plan) {
        complain(plan.error().context);
        return exit_status(plan.error());
    }
    return LockFile::is_free(plan->queue_directory() + "/pid/master.pid") ? 0 : 1;
}

// One folder of `check`: what start would say, and the spool made or repaired.
int check_one(const std::string& directory, bool primary, std::vector<std::string>* secondaries)
{
    auto plan = plan_environment(directory, primary);
    if (!plan) {
        fmt::print(stderr, "error: {}\n", plan.error().context);
        return EX_CONFIG;
    }
    for (const std::string& line : plan->warnings)
        fmt::print(stderr, "warning: {}\n", line);
    if (secondaries != nullptr)
        *secondaries = plan->secondary_directories;
    if (!plan->enabled)
        return 0;
    const SpoolOwners owners{plan->owner, plan->owner_group, plan->setgid_group};
    if (const auto made = ensure_spool(plan->spool, owners); !made) {
        fmt::print(stderr, "error: {}: queue_directory: {}\n", plan->queue_place, made.error().context);
        return EX_CONFIG;
    }
    return 0;
}

int check(const Options& options)
{
    std::vector<std::string> secondaries;
    int status = check_one(options.directory, true, &secondaries);
    for (const std::string& directory : secondaries)
        if (check_one(directory, false, nullptr) != 0)
            status = EX_CONFIG;
    return status;
}

// ready: called once when the start has succeeded.
int supervise(const Options& options, const std::function<void()>& ready)
{
    raise_descriptor_limit();
    ::umask(022);
    ::signal(SIGPIPE, SIG_IGN);
    hold_reload_requests();
    log::set_tag("postfix/master");
    log::set_verbosity(options.verbosity);
    Supervisor supervisor(options.directory, options.mode == Options::Mode::foreground);
    if (const auto opened = supervisor.open_primary(); !opened) {
        log::fatal(opened.error().context);
        log::flush(true);
        return exit_status(opened.error());
    }
    supervisor.open_secondaries();
    ready();
    supervisor.begin();
    return supervisor.run();
}

// The child becomes the daemon; the parent waits for one byte, or for its death.
int become_daemon(const Options& options)
{
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) {
        complain("cannot create a pipe");
        return EX_OSERR;
    }
    const pid_t child = ::fork();
    if (child < 0) {
        complain("cannot fork");
        return EX_OSERR;
    }
    if (child == 0) {
        ::close(ends[0]);
        ::setsid();
        redirect_to_null(0, 0);
        return supervise(options, [&] {
            redirect_to_null(1, 2);
            (void)!::write(ends[1], "R", 1);
            ::close(ends[1]);
        });
    }
    ::close(ends[1]);
    char byte = 0;
    ssize_t n = -1;
    do
        n = ::read(ends[0], &byte, 1);
    while (n < 0 && errno == EINTR);
    if (n == 1)
        return 0;
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : EX_SOFTWARE;
}

int run(int argc, char** argv)
{
    const auto options = parse(argc, argv);
    if (!options) {
        complain("usage: master -c DIR [-d | -w | -t | -n] [-v]; DIR is an absolute path");
        return EX_USAGE;
    }
    if (::geteuid() != 0 && options->mode == Options::Mode::daemon) {
        complain("only root can do this; another user may start it in the foreground, for himself alone");
        return EX_NOPERM;
    }
    install_paths();
    close_strange_descriptors();
    (void)!::chdir("/");
    switch (options->mode) {
    case Options::Mode::test:
        return test_lock(*options);
    case Options::Mode::check:
        return check(*options);
    case Options::Mode::foreground:
        redirect_to_null(0, 0);
        return supervise(*options, [] {});
    case Options::Mode::daemon:
        break;
    }
    return become_daemon(*options);
}

} // namespace

} // namespace bulkhead

int main(int argc, char** argv)
{
    return bulkhead::run(argc, argv);
}
