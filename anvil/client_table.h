// What each client has done: open connections, and events of each kind in the current
// time unit.  Also the peaks since they were last told.  Pure; the caller brings the time.
#pragma once

#include "base/clock.h"
#include "ipc/anvil.h"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace bulkhead
{

class ClientTable
{
public:
    // Clients in memory at most; more are not counted, and never turned away.
    static constexpr std::size_t limit = 200'000;

    explicit ClientTable(Seconds time_unit) : time_unit_(time_unit) {}

    // seconds: Unix time.
    ipc::ClientCounts count(const ipc::ClientReport& report, std::int64_t seconds);

    // Forgets clients that have no connection and no event in the current time unit.
    void sweep(std::int64_t seconds);

    std::size_t size() const { return clients_.size(); }
    bool has_connections() const { return connections_ > 0; }

    // "statistics: max connection rate 3/60s for (smtp:192.0.2.1) at Nov 22 07:05:02", for each
    // peak that is not zero; begins anew.
    std::vector<std::string> take_statistics();

private:
    // connect, message, recipient, new_tls, auth.
    static constexpr std::size_t rates = 5;

    struct Rate {
        std::int64_t begin = 0;
        int count = 0;
    };
    struct Client {
        int connections = 0;
        std::array<Rate, rates> events{};
    };
    struct Peak {
        int value = 0;
        std::string client;
        std::int64_t when = 0;
    };

    static std::size_t rate_of(ipc::ClientEvent event);
    static void note(Peak& peak, int value, std::string_view client, std::int64_t now);

    Seconds time_unit_;
    std::unordered_map<std::string, Client> clients_;
    std::size_t connections_ = 0;
    std::array<Peak, rates> rate_peaks_;
    Peak connection_peak_;
    Peak size_peak_;
};

} // namespace bulkhead
