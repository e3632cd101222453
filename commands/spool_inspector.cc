#include "spool_inspector.h"

#include "base/clock.h"
#include "base/text.h"
#include "config/install_paths.h"
#include "spool_environment.h"
#include "spool_follow.h"
#include "spool_report.h"
#include "spool_snapshot.h"
#include "wait_condition.h"

#include <sysexits.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <optional>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

constexpr std::string_view help_text =
    R"(bulkhead spool: looks into the queues of every environment, without any worker.

  bulkhead spool [-c DIR] [--env NAME] [--json]
  bulkhead spool [-c DIR] [--env NAME] --wait CONDITION [--timeout SECONDS] [--json]
  bulkhead spool [-c DIR] [--env NAME] --follow ID [--timeout SECONDS]

  -c DIR       the primary configuration folder
  --env NAME   only this environment (- is a primary without a name); may be repeated
  --json       one JSON document
  --wait       until e.g. 'deferred=1,active=0' is true: = >= <= > < of maildrop, incoming,
               active, deferred, hold, corrupt or total, summed over the environments
  --follow     one message, by queue id or Message-ID, until it has left the spool
  --timeout    seconds, 10 for --wait, none for --follow

Exit codes: 0; 64 wrong usage; 75 the time was up; 78 a configuration cannot be read.
)";

constexpr auto default_patience = Milliseconds(10'000);
constexpr auto poll_step = Milliseconds(20);
constexpr double max_timeout = 1e6; // seconds

struct Options {
    std::string directory;
    std::vector<std::string> environments; // empty: all
    bool json = false;
    bool help = false;
    std::optional<WaitCondition> condition;
    std::string follow;
    std::optional<Milliseconds> timeout;
};

int wrong_usage(std::string_view text)
{
    fmt::print(stderr, "bulkhead: fatal: spool: {}\n", printable(text, true));
    return EX_USAGE;
}

Result<Milliseconds> parse_timeout(const char* text)
{
    char* end = nullptr;
    const double seconds = std::strtod(text, &end);
    if (end == text || *end != '\0' || !(seconds >= 0) || seconds > max_timeout)
        return Error{Fault::malformed, fmt::format("\"{}\" is no number of seconds", text)};
    return Milliseconds(static_cast<std::int64_t>(seconds * 1000));
}

Result<Options> parse(std::span<char*> arguments)
{
    Options options;
    options.directory = default_config_directory();
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string_view word = arguments[i];
        const std::size_t equals = word.starts_with("--") ? word.find('=') : std::string_view::npos;
        const std::string_view name = word.substr(0, equals);
        if (name == "--json" || name == "--help") {
            (name == "--json" ? options.json : options.help) = true;
            continue;
        }
        constexpr std::array<std::string_view, 6> with_value{"-c",     "--config", "--env",
                                                             "--wait", "--follow", "--timeout"};
        if (std::find(with_value.begin(), with_value.end(), name) == with_value.end())
            return Error{Fault::malformed, fmt::format("unknown option {} (see --help)", word)};
        const char* value = nullptr;
        if (equals != std::string_view::npos)
            value = arguments[i] + equals + 1;
        else if (i + 1 < arguments.size())
            value = arguments[i + 1];
        if (value == nullptr)
            return Error{Fault::malformed, fmt::format("{} needs a value", word)};
        if (name == "-c" || name == "--config") {
            options.directory = value;
        } else if (name == "--env") {
            options.environments.emplace_back(value);
        } else if (name == "--wait") {
            TRY(options.condition, WaitCondition::parse(value));
        } else if (name == "--follow") {
            options.follow = value;
        } else {
            TRY(options.timeout, parse_timeout(value));
        }
        if (equals == std::string_view::npos)
            ++i;
    }
    if (options.condition && !options.follow.empty())
        return Error{Fault::malformed, "--wait and --follow exclude each other"};
    return options;
}

struct Environments {
    std::vector<SpoolEnvironment> list;
    std::vector<std::string> names; // of all that were found, wanted or not
    bool has_failed = false;        // one could not be read; it was said
};

// The primary environment and those that it names; one that cannot be read does not hide
// the others.
Environments open_environments(const Options& options)
{
    Environments environments;
    const auto complain = [&](const Error& error) {
        fmt::print(stderr, "bulkhead: warning: {}\n", error.context);
        environments.has_failed = true;
    };
    const auto directories = environment_directories(options.directory);
    if (!directories) {
        complain(directories.error());
        return environments;
    }
    for (const std::string& directory : *directories) {
        auto found = open_environment(directory);
        if (!found) {
            complain(found.error());
            continue;
        }
        environments.names.push_back(found->name);
        const auto& wanted = options.environments;
        if (wanted.empty() || std::find(wanted.begin(), wanted.end(), found->name) != wanted.end())
            environments.list.push_back(std::move(*found));
    }
    return environments;
}

// The first of --env that does not exist.
std::optional<std::string> unknown_environment(const Options& options, const Environments& environments)
{
    for (const std::string& name : options.environments)
        if (std::find(environments.names.begin(), environments.names.end(), name) == environments.names.end())
            return fmt::format("no environment \"{}\" here; known: {}", name,
                               fmt::join(environments.names, " "));
    return std::nullopt;
}

Result<EnvironmentReport> report(const SpoolEnvironment& environment)
{
    EnvironmentReport report{.name = environment.name,
                             .config_directory = environment.config_directory,
                             .queue_directory = environment.queue_directory,
                             .counts = {},
                             .messages = {}};
    for (const Queue queue : message_queues) {
        const auto see = [&](SnapshotMessage message) {
            ++report.counts.of(queue);
            report.messages.push_back(std::move(message));
        };
        const auto done = read_queue(environment.spool, queue, true, see);
        if (!done && done.error().fault != Fault::not_found)
            return done.error();
    }
    return report;
}

int show(const Options& options, const Environments& environments)
{
    std::vector<EnvironmentReport> reports;
    bool failed = environments.has_failed;
    for (const SpoolEnvironment& environment : environments.list) {
        auto one = report(environment);
        if (one) {
            reports.push_back(std::move(*one));
        } else {
            failed = true;
            fmt::print(stderr, "bulkhead: warning: environment {}: {}\n", environment.name,
                       one.error().context);
        }
    }
    const std::string text =
        options.json ? report_json(reports) : report_text(reports, WallTime::now().seconds);
    std::fwrite(text.data(), 1, text.size(), stdout);
    return failed ? EX_CONFIG : 0;
}

Result<QueueCounts> count(const Environments& environments)
{
    QueueCounts sum;
    for (const SpoolEnvironment& environment : environments.list) {
        TRY(const QueueCounts counts, count_messages(environment.spool));
        sum += counts;
    }
    return sum;
}

// True only when two counts in a row agree: a message that goes back from deferred to
// active during one of them could be missed.
Result<bool> is_fulfilled(const WaitCondition& condition, const Environments& environments, QueueCounts& seen)
{
    TRY(seen, count(environments));
    if (!condition.holds(seen))
        return false;
    const QueueCounts first = seen;
    TRY(seen, count(environments));
    return seen == first;
}

int wait(const Options& options, const Environments& environments)
{
    const auto deadline = Clock::now() + options.timeout.value_or(default_patience);
    QueueCounts seen;
    for (;;) {
        const auto started = Clock::now();
        const auto fulfilled = is_fulfilled(*options.condition, environments, seen);
        if (!fulfilled) {
            fmt::print(stderr, "bulkhead: fatal: {}\n", fulfilled.error().context);
            return EX_UNAVAILABLE;
        }
        if (*fulfilled)
            return options.json ? show(options, environments) : 0;
        if (Clock::now() >= deadline)
            break;
        // a huge spool is not counted all the time
        const auto took = std::chrono::duration_cast<Milliseconds>(Clock::now() - started);
        const auto pause = std::chrono::duration_cast<std::chrono::nanoseconds>(
            std::min(std::max(poll_step, 2 * took), Milliseconds(900)));
        const timespec sleep{0, pause.count()};
        ::nanosleep(&sleep, nullptr);
    }
    fmt::print(stderr, "bulkhead: the time was up: {}\n", counts_text(seen));
    (void)show(options, environments);
    return EX_TEMPFAIL;
}

} // namespace

int spool_inspector(std::span<char*> arguments)
{
    const auto options = parse(arguments);
    if (!options)
        return wrong_usage(options.error().context);
    if (options->help) {
        std::fwrite(help_text.data(), 1, help_text.size(), stdout);
        return 0;
    }
    const Environments environments = open_environments(*options);
    if (environments.names.empty())
        return EX_CONFIG;
    if (const auto unknown = unknown_environment(*options, environments))
        return wrong_usage(*unknown);
    if (options->condition)
        return wait(*options, environments);
    if (!options->follow.empty())
        return follow_message(environments.list, options->follow, options->timeout);
    return show(*options, environments);
}

} // namespace bulkhead
