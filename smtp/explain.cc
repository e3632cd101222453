// -E: how a delivery to a next hop would begin: from which address, by which name, with which
// encryption and as whom.  The password stays here.
#include "deliver.h"

#include "ipc/explain.h"
#include "table/decision.h"

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

void add_address(ipc::Message& answer, std::string_view name, const std::optional<SocketAddress>& address)
{
    if (address)
        answer.add(name, address->text());
}

} // namespace

Task<ipc::Message> SmtpAgent::explain(const ipc::Message& question)
{
    const std::string sender(question.find("sender").value_or(""));
    const std::string text(question.find("nexthop").value_or(""));
    const std::vector<std::string> alternatives = split_nexthops(text);
    const std::string nexthop = alternatives.empty() ? text : alternatives.front();
    ipc::Message answer(ipc::Kind::ok);
    const auto parsed = params_.is_lmtp() ? parse_lmtp_nexthop(nexthop, services_, params_.tcp_port())
                                          : parse_nexthop(nexthop, services_, params_.tcp_port());
    if (!parsed)
        co_return ipc::failure(parsed.error().context);
    if (finder_->looks_for_services(*parsed))
        answer.add("hosts", fmt::format("the SRV records of _{}._tcp.{}", parsed->service, parsed->name));
    else if (parsed->wants_mx)
        answer.add("hosts", "the mail exchangers of " + parsed->name);
    else
        answer.add("hosts", parsed->socket_path.empty() ? parsed->name : parsed->socket_path);
    if (parsed->port != 0)
        answer.add("port", std::int64_t{parsed->port});
    add_address(answer, "source", local_v4_);
    add_address(answer, "source", local_v6_);
    answer.add("helo", params_.helo_name());

    const PlannedTls tls = tls_->plan_for(nexthop);
    answer.add("tls", tls.failure ? tls.failure->reason : std::string(tls::level_name(tls.plan.level)));
    if (tls.failure)
        answer.add("tls_failed", "yes");
    if (sasl_->is_enabled()) {
        const PlannedLogin login = sasl_->plan_for(sender, parsed->name, nexthop);
        if (login.failure)
            answer.add("login_failed", login.failure->reason);
        else if (login.plan.is_wanted())
            answer.add("login", login.plan.user);
        if (parsed->wants_mx)
            answer.add("login_by_host", "yes");
    }
    co_return answer;
}

} // namespace bulkhead
