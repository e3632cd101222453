#include "life_verbs.h"

#include "base/text.h"
#include "config/config.h"
#include "config/environment.h"
#include "config/install_paths.h"
#include "control_client.h"
#include "log/log.h"
#include "spool_environment.h"
#include "spool_report.h"
#include "status_report.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>

#include <fmt/format.h>

namespace bulkhead
{

static constexpr int stop_patience = 10'000; // milliseconds; the master needs two seconds at most
static constexpr int poll_step = 10;
static constexpr Seconds usual_drain_time{30};
static constexpr std::uint64_t longest_drain = 24 * 3600;

// The same, for the log only: when a start fails, the person reads the reason and nothing else.
static void announce_start(const MailSystem& system, bool foreground)
{
    if (const auto opened = open_maillog(system.log, "postfix-script", foreground, false); !opened)
        log::warn(opened.error().context);
    announce(fmt::format("starting {}", system.product));
}

// The spool of the primary environment whose running master is to start this one too; empty
// when there is none, and it gets a master of its own.
static std::string primary_spool(const Request& request)
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
static int start_in_running_master(const Request& request, const std::string& primary)
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

static int wait_for_end(const MailSystem& system, int patience)
{
    for (int waited = 0; running_master(system.queue_directory); waited += poll_step) {
        if (waited >= patience)
            return fail(fmt::format("{} does not end", system.product));
        ::usleep(poll_step * 1000);
    }
    return 0;
}

// Asks for the end and waits for it.  A master that does not answer gets the signal.
static int end(const MailSystem& system, std::string_view request, std::string_view doing)
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

static void report_what_is_left(const std::string& directory)
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

void reload_in_vain(const Request& request)
{
    const auto main = MainCf::read(request.directory + "/main.cf");
    const Setting* const place = main ? main->find("queue_directory") : nullptr;
    const std::string queue = place != nullptr ? place->value : install_paths().queue_directory;
    if (main && queue.starts_with('/') && running_master(queue))
        (void)ask_master(queue, "reload");
}

} // namespace bulkhead
