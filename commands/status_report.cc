#include "status_report.h"

#include "base/text.h"
#include "spool_environment.h"
#include "spool_snapshot.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace bulkhead
{

namespace
{

// Ages are read from the messages; of a longer queue the age is not told.
constexpr std::size_t most_read = 20000;

std::uint64_t number_behind(std::string_view word, std::string_view name)
{
    return word.starts_with(name) ? parse_unsigned(word.substr(name.size())).value_or(0) : 0;
}

EnvironmentStatus parse_environment(const std::vector<std::string_view>& words)
{
    EnvironmentStatus status;
    status.name = words[1];
    status.state = words[2];
    status.processes = number_behind(words[3], "processes=");
    status.sessions = number_behind(words[4], "sessions=");
    status.config_directory = words[5];
    for (std::size_t i = 6; i < words.size(); ++i)
        if (words[i].starts_with("throttled:"))
            status.throttled.emplace_back(words[i].substr(10));
    return status;
}

} // namespace

std::vector<EnvironmentStatus> parse_status(const std::vector<std::string>& lines)
{
    std::vector<EnvironmentStatus> all;
    for (const std::string& line : lines) {
        const std::vector<std::string_view> words = split(line, " ");
        if (words.size() >= 6 && words[0] == "environment") {
            all.push_back(parse_environment(words));
        } else if (words.size() >= 3 && words[0] == "last-error") {
            const auto found = std::ranges::find(all, words[1], &EnvironmentStatus::name);
            if (found != all.end())
                found->last_error = line.substr(12 + words[1].size());
        } else if (words.size() >= 3 && words[0] == "idle") {
            EnvironmentStatus& status = all.emplace_back();
            status.state = words[1];
            status.config_directory = words[2];
        } else if (words.size() >= 2 && words[0] == "refused") {
            EnvironmentStatus& status = all.emplace_back();
            status.state = "refused";
            status.config_directory = words[1];
            status.last_error = line.substr(std::min(line.size(), 9 + words[1].size()));
        }
    }
    return all;
}

void look_into_spool(EnvironmentStatus& status)
{
    const auto environment = open_environment(status.config_directory);
    if (!environment)
        return;
    if (status.name.empty())
        status.name = environment->name;
    const auto counts = count_messages(environment->spool);
    if (!counts)
        return;
    status.queue = *counts;
    if (counts->total() > most_read)
        return;
    for (const Queue queue : message_queues)
        (void)read_queue(environment->spool, queue, false, [&](const SnapshotMessage& message) {
            const std::int64_t arrival = message.shown.arrival_time;
            if (arrival > 0)
                status.oldest_arrival = std::min(status.oldest_arrival.value_or(arrival), arrival);
        });
}

std::string status_text(const std::vector<EnvironmentStatus>& environments, std::int64_t now)
{
    std::string text;
    for (const EnvironmentStatus& status : environments) {
        text += fmt::format("{:<20} {:<8} {:<14} {:<14} {}", status.name.empty() ? "?" : status.name,
                            status.state, fmt::format("processes={}", status.processes),
                            fmt::format("sessions={}", status.sessions), status.config_directory);
        if (status.queue)
            for (const Queue queue : message_queues)
                if (status.queue->of(queue) > 0)
                    text += fmt::format(" {}={}", queue_name(queue), status.queue->of(queue));
        if (status.oldest_arrival)
            text += fmt::format(" oldest={}s", std::max<std::int64_t>(0, now - *status.oldest_arrival));
        for (const std::string& service : status.throttled)
            text += " throttled:" + service;
        text += '\n';
        if (!status.last_error.empty())
            text += fmt::format("{:<20} last error: {}\n", "", printable(status.last_error, true));
    }
    return text;
}

std::string status_json(std::int64_t pid, const std::vector<EnvironmentStatus>& environments,
                        std::int64_t now)
{
    using Json = nlohmann::ordered_json;
    Json list = Json::array();
    for (const EnvironmentStatus& status : environments) {
        Json queue = nullptr;
        if (status.queue) {
            queue = Json::object();
            for (const Queue each : message_queues)
                queue[std::string(queue_name(each))] = status.queue->of(each);
        }
        Json one = {{"name", status.name},
                    {"state", status.state},
                    {"config_directory", status.config_directory},
                    {"processes", status.processes},
                    {"sessions", status.sessions},
                    {"queue", std::move(queue)},
                    {"oldest_seconds", nullptr},
                    {"throttled", status.throttled},
                    {"last_error", nullptr}};
        if (status.oldest_arrival)
            one["oldest_seconds"] = std::max<std::int64_t>(0, now - *status.oldest_arrival);
        if (!status.last_error.empty())
            one["last_error"] = status.last_error;
        list.push_back(std::move(one));
    }
    const Json document = {{"pid", pid}, {"environments", std::move(list)}};
    return document.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

} // namespace bulkhead
