// Logins of the SMTP server: what the parameters ask for, opened before the jail and shared
// by all sessions.  Knows no passwords: a service checks them, Dovecot's or our saslauth.
#pragma once

#include "sasl_params.h"

#include "async/task.h"
#include "base/clock.h"
#include "base/result.h"
#include "sasl/auth_client.h"
#include "sasl/mechanism.h"
#include "table/domain_list.h"

#include <memory>
#include <string>
#include <vector>

namespace bulkhead
{

class Config;

class ServerSasl
{
public:
    // params must outlive it.  The error names place, parameter and reason.
    static Result<std::unique_ptr<ServerSasl>> open(const Config& config, const SmtpdSaslParams& params);

    const SmtpdSaslParams& params() const { return params_; }
    bool is_enabled() const { return params_.enable(); }

    // Clients of smtpd_sasl_exceptions_networks are not offered AUTH.
    Task<bool> is_offered_to(const std::string& client_address) const;

    // The names of the mechanisms that a client may use, as the service orders them; none
    // when it cannot be reached: the log says why.
    Task<std::vector<std::string>> mechanisms(bool encrypted);

    sasl::AuthClient& service() { return *service_; }

    bool is_stale() const { return exceptions_.is_stale() || filter_.is_stale(); }

private:
    explicit ServerSasl(const SmtpdSaslParams& params) : params_(params) {}

    const SmtpdSaslParams& params_;
    std::unique_ptr<sasl::AuthClient> service_;
    MatchList exceptions_;
    MatchList filter_;
    sasl::Demands in_clear_;
    sasl::Demands in_tls_;
    SteadyTime complained_{};
};

} // namespace bulkhead
