// best_mx_transport: mail for a domain whose best mail exchanger we are, though nothing says that
// the domain is ours, goes to another agent.
#include "deliver.h"

#include "base/text.h"
#include "ipc/pass_on.h"
#include "log/log.h"

#include <utility>

#include <fmt/format.h>

namespace bulkhead
{

using ipc::DeliveryOutcome;

// The next hop of that agent is the one of the route, else the domain.
Task<> SmtpAgent::pass_to_best_mx(Delivery& delivery, const Nexthop& nexthop)
{
    const std::string& route = params_.best_mx_transport();
    const auto colon = route.find(':');
    const std::string transport(trim(route.substr(0, colon)));
    const std::string own_nexthop(colon == route.npos ? "" : trim(route.substr(colon + 1)));
    if (transport.empty() || transport == service_name() || transport.find('/') != transport.npos) {
        log::warn(
            fmt::format("{}: bad transport \"{}\"", params_.best_mx_transport.name(), printable(route)));
        const DeliveryStatus later(DeliveryOutcome::deferred, "4.3.5", "mail system configuration error");
        co_return co_await delivery.settle_rest(later);
    }
    const ipc::DeliveryRequest& whole = delivery.request();
    ipc::DeliveryRequest request = whole;
    request.nexthop = own_nexthop.empty() ? nexthop.name : own_nexthop;
    request.recipients.clear();
    std::vector<std::size_t> indexes;
    for (std::size_t i = 0; i < whole.recipients.size(); ++i) {
        if (delivery.is_settled(i))
            continue;
        indexes.push_back(i);
        request.recipients.push_back(whole.recipients[i]);
    }
    ipc::Service agent("private/" + transport, common().ipc_timeout());
    const auto report = co_await ipc::pass_on(agent, std::move(request));
    if (!report) {
        log::warn(fmt::format("{}: {}", whole.queue_id, report.error().context));
        const DeliveryStatus later(DeliveryOutcome::deferred, "4.3.0", "mail transport unavailable");
        co_return co_await delivery.settle_rest(later);
    }
    for (std::size_t i = 0; i < indexes.size(); ++i)
        delivery.close(indexes[i], report->outcomes[i]);
}

} // namespace bulkhead
