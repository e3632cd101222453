#include "client_sasl.h"

#include "base/text.h"
#include "log/log.h"
#include "sasl/client_login.h"
#include "table/decision.h"

#include <fmt/format.h>

namespace bulkhead
{

using ipc::DeliveryOutcome;

Result<std::unique_ptr<ClientSasl>> ClientSasl::open(const SmtpSaslParams& params)
{
    std::unique_ptr<ClientSasl> self(new ClientSasl(params));
    if (!params.enable())
        return self;
    if (!equals_ignoring_case(params.type(), "gsasl") && !equals_ignoring_case(params.type(), "cyrus"))
        return Error{Fault::config, fmt::format("{}: unknown type \"{}\": gsasl", params.type.name(),
                                                printable(params.type()))};
    struct Row {
        const Param<std::vector<std::string>>& param;
        sasl::Demands& demands;
    };
    for (const Row& row : {Row{params.security, self->in_clear_}, Row{params.tls_security, self->in_tls_},
                           Row{params.verified_security, self->in_verified_tls_}}) {
        const auto demands = sasl::parse_security_options(row.param());
        if (!demands)
            return Error{Fault::config, fmt::format("{}: {}", row.param.name(), demands.error().context)};
        row.demands = *demands;
    }
    self->passwords_ = TableList::open(params.password_maps());
    TRY(self->filter_, MatchList::open(params.mechanism_filter()));
    return self;
}

PlannedLogin ClientSasl::plan_for(const std::string& sender, const std::string& host,
                                  const std::string& nexthop)
{
    std::vector<std::string> keys;
    if (params_.by_sender() && !sender.empty()) {
        keys.push_back(sender);
        if (const auto at = sender.rfind('@'); at != std::string::npos)
            keys.push_back(sender.substr(at));
    }
    keys.push_back(host);
    keys.push_back(nexthop);
    PlannedLogin planned;
    for (const std::string& key : keys) {
        const Lookup found = passwords_.find(key);
        if (found.is_absent())
            continue;
        if (found.is_broken()) {
            planned.failure = DeliveryStatus(DeliveryOutcome::deferred, "4.3.0",
                                             "SASL password lookup failure: " + found.reason());
            return planned;
        }
        const std::string& value = found.value();
        const auto colon = value.find(':');
        planned.plan.user = value.substr(0, colon);
        if (colon != std::string::npos)
            planned.plan.password = value.substr(colon + 1);
        tell_decision({params_.password_maps.name(), params_.password_maps(), key, planned.plan.user});
        return planned;
    }
    return planned;
}

std::optional<std::string> ClientSasl::choose(const std::vector<std::string>& offered, Protection protection,
                                              bool can_bind) const
{
    std::vector<std::string> allowed;
    for (const std::string& name : offered)
        if (filter_.empty() || filter_.match(name))
            allowed.push_back(name);
    const sasl::Demands& demands = protection == Protection::none  ? in_clear_
                                   : protection == Protection::tls ? in_tls_
                                                                   : in_verified_tls_;
    return sasl::choose_mechanism(allowed, demands, can_bind);
}

} // namespace bulkhead
