#include "client_table.h"

#include <algorithm>
#include <ctime>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

std::string stamp(std::int64_t seconds)
{
    const std::time_t time = seconds;
    std::tm local{};
    ::localtime_r(&time, &local);
    char text[32] = "";
    std::strftime(text, sizeof text, "%b %e %H:%M:%S", &local);
    return text;
}

} // namespace

std::size_t ClientTable::rate_of(ipc::ClientEvent event)
{
    using Event = ipc::ClientEvent;
    switch (event) {
    case Event::message:
        return 1;
    case Event::recipient:
        return 2;
    case Event::new_tls:
    case Event::tls_rate:
        return 3;
    case Event::auth:
        return 4;
    case Event::connect:
    case Event::disconnect:
        break;
    }
    return 0;
}

void ClientTable::note(Peak& peak, int value, std::string_view client, std::int64_t now)
{
    if (value <= peak.value)
        return;
    peak.value = value;
    peak.client = client;
    peak.when = now;
}

ipc::ClientCounts ClientTable::count(const ipc::ClientReport& report, std::int64_t now)
{
    using Event = ipc::ClientEvent;
    ipc::ClientCounts counts;
    auto found = clients_.find(report.client);
    if (found == clients_.end()) {
        if (report.event == Event::disconnect || report.event == Event::tls_rate || clients_.size() >= limit)
            return counts;
        found = clients_.try_emplace(report.client).first;
        note(size_peak_, static_cast<int>(clients_.size()), {}, now);
    }
    Client& client = found->second;
    Rate& rate = client.events[rate_of(report.event)];
    if (now - rate.begin >= time_unit_.count() || now < rate.begin)
        rate = Rate{now, 0};
    if (report.event == Event::disconnect) {
        if (client.connections > 0) {
            --client.connections;
            --connections_;
        }
    } else if (report.event != Event::tls_rate) {
        ++rate.count;
        note(rate_peaks_[rate_of(report.event)], rate.count, report.client, now);
    }
    if (report.event == Event::connect) {
        ++client.connections;
        ++connections_;
        note(connection_peak_, client.connections, report.client, now);
    }
    counts.connections = client.connections;
    counts.rate = rate.count;
    return counts;
}

void ClientTable::sweep(std::int64_t now)
{
    std::erase_if(clients_, [&](const auto& row) {
        const auto over = [&](const Rate& rate) { return now - rate.begin >= time_unit_.count(); };
        return row.second.connections == 0 && std::ranges::all_of(row.second.events, over);
    });
}

std::vector<std::string> ClientTable::take_statistics()
{
    static constexpr std::array<std::string_view, rates> names = {"connection", "message", "recipient",
                                                                  "newtls", "auth"};
    std::vector<std::string> lines;
    const auto add_rate = [&](std::size_t i) {
        if (const Peak& peak = rate_peaks_[i]; peak.value > 0)
            lines.push_back(fmt::format("statistics: max {} rate {}/{}s for ({}) at {}", names[i], peak.value,
                                        time_unit_.count(), peak.client, stamp(peak.when)));
        rate_peaks_[i] = Peak();
    };
    add_rate(0);
    if (connection_peak_.value > 0)
        lines.push_back(fmt::format("statistics: max connection count {} for ({}) at {}",
                                    connection_peak_.value, connection_peak_.client,
                                    stamp(connection_peak_.when)));
    for (std::size_t i = 1; i < rates; ++i)
        add_rate(i);
    if (size_peak_.value > 0)
        lines.push_back(
            fmt::format("statistics: max cache size {} at {}", size_peak_.value, stamp(size_peak_.when)));
    connection_peak_ = Peak();
    size_peak_ = Peak();
    return lines;
}

} // namespace bulkhead
