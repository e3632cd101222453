// Asks an authentication service (Dovecot's auth, or saslauth) over one connection for all
// sessions of the process: requests are multiplexed, a lost connection is made again with
// the next request, one without work is closed.
#pragma once

#include "async/address.h"
#include "async/scope.h"
#include "async/stream.h"
#include "async/task.h"
#include "async/wait.h"
#include "base/result.h"
#include "sasl/auth_protocol.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace bulkhead::sasl
{

// Where the service listens.
struct AuthPlace {
    std::string path;                     // of a UNIX socket, as this process sees it
    std::optional<SocketAddress> address; // instead of it
    std::string text;                     // as it was configured, for messages

    // "inet:host:port", "unix:path", or a path.  May ask the system's resolver: before
    // the jail.  Fault::config.
    static Result<AuthPlace> parse(const std::string& text);
};

class AuthClient
{
public:
    // timeout: of each answer; a greeting must come sooner.
    explicit AuthClient(AuthPlace place, Milliseconds timeout = Milliseconds(60'000));
    ~AuthClient();

    // What the service offers, as far as it is not private; asked for once in a while.  An
    // error says why it cannot be reached.
    Task<Result<std::vector<Mechanism>>> mechanisms();

    // One exchange: begin() gives the service's answer (ok, go_on or fail) with an id, and
    // as long as it is go_on, go_on() sends the client's response.  An error is a fault of
    // the service, not of the client: it ends the exchange.
    Task<Result<AuthAnswer>> begin(AuthRequest request);
    Task<Result<AuthAnswer>> go_on(std::uint32_t id, std::string response);
    // Ends an exchange whose last answer was go_on.
    void cancel(std::uint32_t id);

    // Ends the connection; exchanges under way fail.  empty() is ready when nothing is left.
    void close();
    auto empty() { return readers_.empty(); }

private:
    struct Waiting { // for the answer to one request
        Condition answered;
        std::optional<AuthAnswer> answer;
        bool lost = false;
    };
    struct Link { // one connection
        explicit Link(UniqueFd fd) : stream(std::move(fd)) {}
        Stream stream;
        bool greeted = false;
        bool over = false;
        Error reason{Fault::closed, "Connection lost to authentication server"};
        std::vector<Mechanism> mechanisms;
        std::map<std::uint32_t, Waiting*> waiting;
        std::set<std::uint32_t> open; // exchanges in which it is the client's turn
        Condition changed;            // greeted, or over
    };

    Task<Result<>> connect();
    Task<Result<UniqueFd>> open_socket();
    Task<Result<AuthAnswer>> exchange(std::uint32_t id, std::string line);
    static Result<> take(Link& link, std::string_view line);
    static Task<> read(AuthClient* self, std::shared_ptr<Link> link);
    static void drop(const std::shared_ptr<Link>& link, Error reason);
    void close_if_idle();

    AuthPlace place_;
    Milliseconds timeout_;
    std::shared_ptr<Link> link_; // shared with its reader and those that wait for its greeting
    std::vector<Mechanism> mechanisms_;
    SteadyTime asked_{}; // when mechanisms_ was true
    std::uint32_t next_id_ = 1;
    SteadyTime last_use_{};
    Semaphore connecting_{1};
    Timer idle_timer_;
    Scope readers_;
};

} // namespace bulkhead::sasl
