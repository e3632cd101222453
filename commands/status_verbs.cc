#include "status_verbs.h"

#include "control_client.h"
#include "log/log.h"
#include "status_report.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <ctime>

#include <fmt/format.h>

namespace bulkhead
{

static int print_pids(const MailSystem& system)
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

static Result<std::string> rotated_name(const MailSystem& system)
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

} // namespace bulkhead
