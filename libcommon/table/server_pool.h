// The connections of one table to its servers: opened on demand, kept while they are used, closed
// when idle; the next host when one fails, which is then left alone for a while.  Asked by several
// threads at once; each has a connection of its own during a question.
#pragma once

#include "table/server_module.h"

#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <random>

namespace bulkhead
{

// "unix:/path", "inet:host:port", "host", "host:port", "[v6]:port", "scheme://user@host:port/...".
ServerHost parse_server_host(std::string_view text);

struct PoolTimes {
    std::chrono::milliseconds connect{10'000};
    std::chrono::milliseconds whole_lookup{30'000}; // all hosts
    std::chrono::milliseconds idle{60'000};         // then a connection is closed
    std::chrono::milliseconds retry{60'000};        // how long a failed host is left alone
    // The same for an only host: there is no other to ask, so it is tried sooner.
    std::chrono::milliseconds only_host_retry{1'000};
};

class ServerPool
{
public:
    ServerPool(std::unique_ptr<ServerDriver> driver, std::vector<ServerHost> hosts, PoolTimes times);

    // Makes the text of the questions for a connection; nullopt: the key cannot be asked for.
    using Compose = std::function<std::optional<std::vector<std::string>>(ServerConnection& connection)>;

    // True with `values` filled; false with `reason` set: no server has answered.
    bool ask(const Compose& compose, ServerValues& values, std::string& reason);

    // For files: the connection that all questions will use.  False with `reason` set.
    bool open_now(std::string& reason);

    // Hosts that have failed since the last call, as sentences for the log.
    std::vector<std::string> take_warnings();

    const ServerDriver& driver() const { return *driver_; }

private:
    using Clock = std::chrono::steady_clock;
    struct Idle {
        std::unique_ptr<ServerConnection> connection;
        std::size_t host = 0;
        Clock::time_point since;
    };
    struct Question;

    std::optional<Idle> take_idle();
    void give_back(Idle idle);
    void forget_connections_to(std::size_t host);
    std::vector<std::size_t> order(std::string& reason);
    std::unique_ptr<ServerConnection> connect(std::size_t host, Clock::time_point deadline,
                                              std::string& reason);
    void mark_failed(std::size_t host, const std::string& reason);
    ServerAnswer put(Question& question, Idle& idle);
    bool ask_file(Question& question);

    std::unique_ptr<ServerDriver> driver_;
    PoolTimes times_;

    std::mutex mutex_; // of what follows; never held while a server is asked, but for files
    std::vector<ServerHost> hosts_;
    std::vector<Clock::time_point> failed_until_;
    std::vector<std::string> failures_; // the last one of each host
    std::list<Idle> idle_;              // the one that was used last is in front
    std::vector<std::string> warnings_;
    std::minstd_rand random_{std::random_device{}()};
};

} // namespace bulkhead
