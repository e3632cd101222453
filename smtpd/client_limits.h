// What one client may do in a time: connections, messages, recipients, new TLS sessions,
// logins.  anvil counts for all processes; the limits are applied here.
#pragma once

#include "params.h"
#include "peer.h"

#include "ipc/anvil.h"
#include "table/domain_list.h"

#include <memory>
#include <optional>
#include <string>

namespace bulkhead
{

class Config;

// A limit that was passed.
struct LimitExcess {
    std::string_view name; // "Connection rate", as the log has it
    int count = 0;
};

class ClientLimits
{
public:
    // Null: no limit is set.  params must outlive it.
    static Result<std::unique_ptr<ClientLimits>> open(const Config& config, const SmtpdParams& params,
                                                      std::string service);

    // Whether what this client does is counted.
    Task<bool> applies_to(const Peer& client) const;

    // Counts one event; nothing while it is within its limit, or when nobody can count.
    Task<std::optional<LimitExcess>> count(ipc::ClientEvent event, const Peer& client);

    const std::string& service() const { return service_; }

    // "smtp:192.0.2.7", or "smtp:192.0.2.0/24": who counts as one client.
    std::string client_name(const Peer& client) const;

private:
    ClientLimits(const SmtpdParams& params, std::string service)
        : params_(params), service_(std::move(service)), anvil_("private/anvil")
    {
    }
    int limit_of(ipc::ClientEvent event) const;
    void warn_of_failure(const Error& error);

    const SmtpdParams& params_;
    std::string service_;
    ipc::Anvil anvil_;
    MatchList exceptions_;
    SteadyTime warned_{};
};

} // namespace bulkhead
