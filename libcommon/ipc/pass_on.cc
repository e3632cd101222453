#include "ipc/pass_on.h"

#include <fmt/format.h>

namespace bulkhead::ipc
{

Task<Result<DeliveryReport>> pass_on(Service& agent, DeliveryRequest request)
{
    request.handed_over = WallTime::now();
    const Message message = encode(request);
    CO_TRY(const Message answer, co_await agent.call(message));
    if (answer.kind() != Kind::ok)
        co_return Error(Fault::broken,
                        fmt::format("{}: {}", agent.path(), answer.find("reason").value_or("it refused")));
    CO_TRY(DeliveryReport report, decode_delivery_report(answer));
    if (report.outcomes.size() != request.recipients.size())
        co_return Error(Fault::malformed, agent.path() + ": bad answer");
    co_return report;
}

} // namespace bulkhead::ipc
