// Asking a server for look-ups: connections that are kept for a while, time limits, and
// a pause after a failure, so that a server that is down costs each question nothing.
// Blocks, and is called from several threads at once: each has a connection of its own.
// What requests and replies look like is the table types' business.
#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"

#include <sys/socket.h>

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

// "inet:host:port" or "unix:path".
struct ServerName {
    std::string text; // for messages
    std::string host; // inet
    std::string port;
    std::string path; // unix; relative to the spool for workers

    static Result<ServerName> parse(std::string_view text);
};

class LookupClient
{
public:
    struct Limits {
        Milliseconds time{100'000};      // of one exchange, connecting included
        Milliseconds idle{10'000};       // a connection is not used again after this pause,
        Milliseconds life{100'000};      // nor when it is this old
        Milliseconds first_pause{1'000}; // after a failure; doubled up to the longest
        Milliseconds longest_pause{10'000};
    };

    // Open it before the jail: the host's name is looked up now (and again later, where
    // that failed).
    LookupClient(ServerName server, const Limits& limits);

    // The one client of this process for a server: tables on one server share its
    // connections.  shared_ptr, as the last of those tables ends it.
    static std::shared_ptr<LookupClient> shared(const ServerName& server, const Limits& limits);

    // How many of these bytes are the reply; 0: its end has not come yet.
    using ReplyEnd = Result<std::size_t> (*)(std::string_view bytes);

    // One request, one reply.  When a kept connection turns out to be dead before any of
    // the reply came, the request is sent once more over a fresh one.  Errors name the server.
    Result<std::string> exchange(std::string_view request, ReplyEnd end);

    // Something listens there: a connection can be made.
    bool is_there();

    const ServerName& server() const { return server_; }

private:
    struct Connection {
        UniqueFd fd;
        SteadyTime opened;
        SteadyTime last_used;
        bool reused = false;
    };
    struct Address {
        sockaddr_storage bytes{};
        socklen_t size = 0;
    };

    std::optional<Connection> take();
    void keep(Connection connection);
    Result<Connection> connect(SteadyTime deadline);
    Result<std::vector<Address>> addresses();
    Result<std::vector<Address>> resolve() const;
    Result<std::string> converse(const Connection& connection, std::string_view request, ReplyEnd end,
                                 SteadyTime deadline, bool& reply_began) const;
    Error failed(Error error);
    void succeeded();

    ServerName server_;
    Limits limits_;
    std::mutex mutex_; // guards what follows
    std::vector<Address> addresses_;
    std::vector<Connection> kept_;
    Milliseconds pause_{0}; // zero: all is well
    SteadyTime pause_end_;
    std::string trouble_; // why we pause
};

} // namespace bulkhead
