#include "route_report.h"

#include "base/text.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace bulkhead
{

// "transport_maps hash:/etc/transport: user@site -> slow:", "relayhost = [gate]".
static std::string line_of(const ipc::Because& one)
{
    if (one.table.empty() && one.key.empty())
        return fmt::format("{} = {}", one.parameter, one.value);
    std::string line = one.parameter;
    if (!one.table.empty())
        line += ' ' + one.table;
    if (!one.key.empty())
        line += ": " + one.key;
    return line + " -> " + one.value;
}

std::string route_text(const RouteReport& report)
{
    std::string text = fmt::format("environment {} ({})\nfrom <{}> to <{}>\n", report.environment,
                                   report.directory, report.sender, report.recipient);
    for (const RouteStep& step : report.steps) {
        text += fmt::format("\n{}\n", step.name);
        for (const auto& [fact, value] : step.facts)
            text += fmt::format("  {:<16} {}\n", fact, printable(value, true));
        for (const ipc::Because& one : step.because)
            text += fmt::format("    {}\n", printable(line_of(one), true));
    }
    if (!report.problem.empty())
        text += fmt::format("\nthe mail would have to wait: {}\n", report.problem);
    return text;
}

std::string route_json(const RouteReport& report)
{
    using Json = nlohmann::ordered_json;
    Json steps = Json::array();
    for (const RouteStep& step : report.steps) {
        Json one{{"step", step.name}};
        for (const auto& [fact, value] : step.facts)
            one[fact] = value;
        one["because"] = Json::array();
        for (const ipc::Because& because : step.because)
            one["because"].push_back({{"parameter", because.parameter},
                                      {"table", because.table},
                                      {"key", because.key},
                                      {"value", because.value}});
        steps.push_back(std::move(one));
    }
    const Json whole{{"environment", report.environment},
                     {"config_directory", report.directory},
                     {"from", report.sender},
                     {"to", report.recipient},
                     {"steps", std::move(steps)},
                     {"problem", report.problem}};
    return whole.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

} // namespace bulkhead
