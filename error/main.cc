// error: gives every recipient the fate that the next hop spells out ("5.7.9 text").
// The services error and retry are both this program: one bounces by default, the
// other defers, for destinations that qmgr has suspended.
#include "mail/dsn.h"
#include "worker/delivery_agent.h"

namespace bulkhead
{

class ErrorAgent final : public DeliveryAgent
{
    struct NoParams : ParamSet {
    };

    ParamSet& params() override { return params_; }

    Task<> deliver(Delivery& delivery) override
    {
        const bool retry = service_name() == "retry";
        const StatusAndText said = split_status(delivery.request().nexthop);
        const bool defers = retry || (said.status && said.status->status_class == 4);
        DeliveryStatus status(defers ? ipc::DeliveryOutcome::deferred : ipc::DeliveryOutcome::bounced,
                              said.status ? said.status->text()
                              : defers    ? "4.0.0"
                                          : "5.0.0",
                              std::string(said.rest));
        // A status of success makes no sense here, and the text must say something.
        if (!defers && status.dsn.front() != '5')
            status.dsn = "5.0.0";
        if (status.reason.empty())
            status.reason = defers ? "delivery temporarily suspended" : "mail to this destination is refused";
        co_await delivery.settle_rest(std::move(status));
    }

    NoParams params_;
};

} // namespace bulkhead

int main(int argc, char** argv)
{
    bulkhead::ErrorAgent agent;
    return bulkhead::run_worker(agent, argc, argv);
}
