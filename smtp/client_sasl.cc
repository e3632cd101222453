#include "client_sasl.h"

#include "base/text.h"
#include "expiring_table.h"
#include "log/log.h"
#include "sasl/client_login.h"
#include "table/decision.h"

#include <fmt/format.h>

namespace bulkhead
{

using ipc::DeliveryOutcome;

ClientSasl::ClientSasl(const SmtpSaslParams& params) : params_(params) {}
ClientSasl::~ClientSasl() = default;

// With the password: another one is tried at once.
static std::string refusal_key(const LoginPlan& plan, const Peer& peer)
{
    return fmt::format("{}\n{}\n{}", peer.relay(), plan.user, plan.password);
}

Task<std::optional<DeliveryStatus>> ClientSasl::known_refusal(const LoginPlan& plan, const Peer& peer)
{
    if (!refusals_ || !plan.is_wanted())
        co_return std::nullopt;
    const std::string key = refusal_key(plan, peer);
    const std::string line = co_await refusals_->find(key);
    ReplyParser parser;
    const auto complete = parser.add_line(line);
    if (line.empty() || !complete || !*complete)
        co_return std::nullopt;
    co_return login_known_to_fail(peer, parser.take(), params_.soft_bounce());
}

// Replies of several lines are kept as one.
void ClientSasl::note_refusal(const LoginPlan& plan, const Peer& peer, const PeerReply& reply)
{
    std::string line = reply.text;
    if (!refusals_ || line.size() < 4)
        return;
    line[3] = ' ';
    refusals_->keep(refusal_key(plan, peer), std::move(line));
}

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
    if (!params.cache_name().empty() && params.cache_time().count() > 0) {
        auto opened = ExpiringTable::open(params.cache_name(), params.cache_time());
        if (opened)
            self->refusals_ = *std::move(opened);
        else
            log::warn(fmt::format("{}: {}", params.cache_name.name(), opened.error().context));
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
        const std::string& delimiter = params_.delimiter();
        const auto end = delimiter.empty() ? value.npos : value.find(delimiter);
        planned.plan.user = value.substr(0, end);
        if (end != value.npos)
            planned.plan.password = value.substr(end + delimiter.size());
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
