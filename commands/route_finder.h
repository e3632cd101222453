// The way of one message through one environment, step by step: what the server says to its
// client, what cleanup makes of the addresses, and for each recipient transport, next hop and
// the delivery agent's part.
#pragma once

#include "config/environment.h"
#include "route_report.h"

#include <optional>
#include <string>

namespace bulkhead
{

struct RouteQuestion {
    std::string sender;    // internal form; empty: the null sender
    std::string recipient; // internal form
    std::optional<std::string> client;
    std::optional<std::string> login;
    std::string service; // of master.cf, for the client; empty: the first smtpd
};

// Fault::config: the configuration does not let us find out; Fault::not_found: no such service.
// A table that fails is no error but the report's problem.
Result<RouteReport> find_route(const EnvironmentConfig& environment, const RouteQuestion& question);

} // namespace bulkhead
