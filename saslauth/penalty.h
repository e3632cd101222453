// How long a client that failed to log in waits for the answer: longer with each failure,
// and forgotten after a while.  Bounded, whatever the number of clients.
#pragma once

#include "base/clock.h"

#include <algorithm>
#include <string>
#include <unordered_map>

namespace bulkhead
{

class PenaltyBook
{
public:
    static constexpr Milliseconds first{500};
    static constexpr Milliseconds most{8'000};
    static constexpr Seconds memory{60};
    static constexpr std::size_t limit = 10'000; // clients

    // Notes one more failure of this address; the time that it costs.
    Milliseconds failure(const std::string& address, SteadyTime now)
    {
        if (clients_.size() >= limit)
            std::erase_if(clients_, [now](const auto& one) { return now - one.second.last > memory; });
        if (clients_.size() >= limit && !clients_.contains(address))
            return most; // under attack by many: nobody gets a quick answer
        Client& client = clients_[address];
        client.delay = client.delay == Milliseconds(0) || now - client.last > memory
                           ? first
                           : std::min(client.delay * 2, most);
        client.last = now;
        return client.delay;
    }

private:
    struct Client {
        SteadyTime last{};
        Milliseconds delay{0};
    };
    std::unordered_map<std::string, Client> clients_;
};

} // namespace bulkhead
