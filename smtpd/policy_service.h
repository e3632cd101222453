// Policy delegation (feature-map.md, d): asking a server of the site's own about a command.
// "name=value" lines and an empty line go out, "action=..." and an empty line come back; the
// action is one of access(5).  Connections are kept and used again.
#pragma once

#include "access_subject.h"

#include "async/address.h"
#include "async/stream.h"
#include "async/task.h"
#include "base/clock.h"
#include "base/result.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

namespace dns
{
class Resolver;
}

// One server's settings: smtpd_policy_service_*, and what its own place in a list says.
struct PolicyServerOptions {
    Milliseconds timeout{100'000};
    Milliseconds max_idle{300'000}; // of a kept connection
    Milliseconds max_ttl{1'000'000};
    Milliseconds retry_delay{1000};
    int request_limit = 0; // requests of one connection; 0: no limit
    int try_limit = 2;
    std::string default_action = "451 4.3.5 Server configuration problem";
    std::string context;
};

// "inet:host:port", "unix:path", "{ inet:host:port, timeout=10s, ... }".
struct PolicyServerSpec {
    std::string path; // of a UNIX socket; else:
    std::string host;
    std::uint16_t port = 0;
    PolicyServerOptions options;

    // As log lines name it: "127.0.0.1:10023", "private/policy".
    std::string name() const;
};
Result<PolicyServerSpec> parse_policy_server(std::string_view text, const PolicyServerOptions& defaults);

// The lines of a question, with the empty one at the end.
struct PolicyFacts { // of the configuration
    std::string_view context;
    std::string_view stress;
    std::string_view level;   // compatibility_level
    std::string_view version; // mail_version
};
std::string policy_request(const AccessSubject& subject, const PolicyFacts& facts);

// Collects the lines of an answer.
class PolicyReply
{
public:
    // True: the answer is complete.  Fault::malformed, Fault::limit.
    Result<bool> add_line(std::string_view line);
    const std::string& action() const { return action_; }

private:
    std::string action_;
    bool has_action_ = false;
    int lines_ = 0;
};

class PolicyServer
{
public:
    // resolver (null: numeric addresses and localhost only) outlives the server.
    PolicyServer(PolicyServerSpec spec, dns::Resolver* resolver) : spec_(std::move(spec)), resolver_(resolver)
    {
    }

    const PolicyServerSpec& spec() const { return spec_; }

    // A connection to it, for a conversation of another kind.
    Task<Result<UniqueFd>> dial();

    // The action; after try_limit attempts the default one, with the reason in the log.
    Task<std::string> ask(std::string request);

private:
    struct Connection {
        std::unique_ptr<Stream> stream;
        SteadyTime made{};
        SteadyTime used{};
        int requests = 0;
    };
    Task<Result<std::string>> attempt(const std::string& request);
    Task<Result<Connection>> connect();
    Task<Result<UniqueFd>> connect_inet_host();
    Task<Result<std::string>> converse(Connection& connection, const std::string& request);
    bool is_usable(const Connection& connection) const;
    void keep(Connection connection);

    static constexpr std::size_t most_kept = 100;

    PolicyServerSpec spec_;
    dns::Resolver* resolver_;
    std::vector<Connection> idle_;
};

} // namespace bulkhead
