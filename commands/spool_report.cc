#include "spool_report.h"

#include "base/text.h"
#include "queue_listing.h"

#include <ctime>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace bulkhead
{

using Json = nlohmann::ordered_json;

static std::string local_time(std::int64_t seconds)
{
    const std::time_t time = seconds;
    std::tm local{};
    ::localtime_r(&time, &local);
    char text[64];
    const std::size_t size = std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local);
    return std::string(text, size);
}

std::string counts_text(const QueueCounts& counts)
{
    std::string text;
    for (const Queue queue : message_queues)
        text += fmt::format("{} {}, ", queue_name(queue), counts.of(queue));
    return text + fmt::format("total {}", counts.total());
}

static std::string message_text(const SnapshotMessage& message, std::int64_t now)
{
    const ipc::ShownMessage& shown = message.shown;
    std::string text = fmt::format("  {:<8} {:<12} {:>8} bytes  {}", shown.queue_name, shown.queue_id,
                                   shown.size, local_time(shown.arrival_time));
    if (!message.problem.empty())
        return text + fmt::format("  not readable: {}\n", printable(message.problem, true));
    text += fmt::format("  from=<{}>", shown_address(shown.sender, ""));
    if (shown.forced_expire)
        text += "  expires at the next attempt";
    if (shown.queue_name == "deferred")
        text += message.modified <= now ? std::string("  next attempt: due")
                                        : fmt::format("  next attempt: {} (in {} s)",
                                                      local_time(message.modified), message.modified - now);
    text += '\n';
    for (const ipc::ShownRecipient& recipient : shown.recipients)
        text += fmt::format("    to=<{}>{}{}\n", shown_address(recipient.address, ""),
                            recipient.reason.empty() ? "" : "  ", printable(recipient.reason, true));
    return text;
}

std::string report_text(std::span<const EnvironmentReport> environments, std::int64_t now)
{
    std::string text;
    for (const EnvironmentReport& environment : environments) {
        text += fmt::format("environment {} ({}): {}\n", environment.name, environment.queue_directory,
                            counts_text(environment.counts));
        for (const SnapshotMessage& message : environment.messages)
            text += message_text(message, now);
    }
    return text;
}

static Json message_json(const SnapshotMessage& message)
{
    const ipc::ShownMessage& shown = message.shown;
    Json json = {{"queue", shown.queue_name},
                 {"id", shown.queue_id},
                 {"size", shown.size},
                 {"arrival_time", shown.arrival_time},
                 {"forced_expire", shown.forced_expire}};
    if (shown.queue_name == "deferred")
        json["next_attempt"] = message.modified;
    if (!message.problem.empty()) {
        json["problem"] = message.problem;
        return json;
    }
    json["sender"] = shown.sender;
    json["message_id"] = shown.message_id;
    json["recipients"] = Json::array();
    for (const ipc::ShownRecipient& recipient : shown.recipients) {
        Json row = {{"address", recipient.address}};
        if (!recipient.reason.empty())
            row["reason"] = recipient.reason;
        json["recipients"].push_back(std::move(row));
    }
    return json;
}

std::string report_json(std::span<const EnvironmentReport> environments)
{
    Json list = Json::array();
    for (const EnvironmentReport& environment : environments) {
        Json counts = Json::object();
        for (const Queue queue : message_queues)
            counts[std::string(queue_name(queue))] = environment.counts.of(queue);
        counts["total"] = environment.counts.total();
        Json messages = Json::array();
        for (const SnapshotMessage& message : environment.messages)
            messages.push_back(message_json(message));
        list.push_back({{"name", environment.name},
                        {"config_directory", environment.config_directory},
                        {"queue_directory", environment.queue_directory},
                        {"counts", std::move(counts)},
                        {"messages", std::move(messages)}});
    }
    // addresses may be any bytes: what is no UTF-8 is replaced
    return Json{{"environments", std::move(list)}}.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

} // namespace bulkhead
