// TLS of the SMTP client: what is demanded of a next hop, and whether a server meets it.
// Opened before the jail and shared by all deliveries.
#pragma once

#include "async/task.h"
#include "hosts.h"
#include "outcome.h"
#include "tls_params.h"

#include "base/result.h"
#include "table/file_watch.h"
#include "table/table.h"
#include "tls/context.h"
#include "tls/facts.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

namespace dns
{
class Resolver;
}

// What one session's encryption shall be.
struct TlsPlan {
    tls::Level level = tls::Level::none;
    bool wrapper = false;
    bool keeps_connections = true;          // inside TLS, for more mail
    std::vector<std::string> matches;       // names (nexthop, hostname, ...) or fingerprints
    std::optional<std::string> server_name; // smtp_tls_servername
    tls::ClientCall call;

    // Sessions to one server with equal keys are as good as each other.
    std::string key() const;
};

struct PlannedTls {
    TlsPlan plan;
    std::optional<DeliveryStatus> failure; // the mail must wait
};

// Under which keys a next hop is looked up: as it is written, its bare host, the
// host's parents as ".parent".
std::vector<std::string_view> policy_keys(std::string_view nexthop);

class ExpiringTable;

class ClientTls
{
public:
    // params must outlive it; resolver is asked for TLSA records, null: validates nothing.
    static Result<std::unique_ptr<ClientTls>> open(const SmtpTlsParams& params, dns::Resolver* resolver);
    ~ClientTls();

    const SmtpTlsParams& params() const { return params_; }

    // Whether connections are kept where no policy says it; true until told otherwise.
    void keep_connections(bool keep) { keeps_connections_ = keep; }

    // plan_for() may wait for another process: use co_await ask().
    bool may_block() const { return policies_.may_block() || sites_.may_block(); }

    // The plan for a next hop as it is written.
    PlannedTls plan_for(const std::string& nexthop);

    // Completes the plan for one server of the next hop; may ask the DNS, and loads the
    // authorities when they are first needed.  A status: this server cannot be used.
    Task<std::optional<DeliveryStatus>> prepare(TlsPlan& plan, const std::string& nexthop_name,
                                                const Host& host);

    Result<std::unique_ptr<tls::Connection>> connect(int fd, const TlsPlan& plan);

    // After the handshake: logs the session; a status: the server is not who it should be.
    std::optional<DeliveryStatus> judge(const TlsPlan& plan, const Peer& peer,
                                        const tls::Connection& connection);

    static void log_failure(const Peer& peer, const Error& error);

    bool is_stale() const;

private:
    explicit ClientTls(const SmtpTlsParams& params);
    void open_sessions();

    void choose_level();
    Result<> open_context();
    Result<> apply(TlsPlan& plan, const tls::Policy& policy) const;
    Result<std::string> anchors_of(const tls::Policy& policy) const;
    Task<std::optional<DeliveryStatus>> ask_for_records(TlsPlan& plan, const Host& host);
    std::vector<std::string> default_matches(tls::Level level) const;

    const SmtpTlsParams& params_;
    dns::Resolver* resolver_ = nullptr;
    tls::Policy default_;
    tls::Level insecure_mx_ = tls::Level::may; // for signed records of a host that was found insecurely
    std::string problem_;                      // of the parameters: mail that wants TLS waits
    int log_level_ = 0;
    bool has_authorities_ = false;
    bool authorities_loaded_ = false;
    std::string trust_anchors_;
    TableList policies_;
    TableList sites_;
    std::vector<FileWatch> watches_;
    std::unique_ptr<tls::ClientContext> context_;
    bool keeps_connections_ = true;
    std::unique_ptr<ExpiringTable> sessions_; // null: none are kept but in memory
};

} // namespace bulkhead
