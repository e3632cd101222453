// discard: throws mail away and calls it sent.  The next hop is the text for the log.
#include "worker/delivery_agent.h"

namespace bulkhead
{

class DiscardAgent final : public DeliveryAgent
{
    struct NoParams : ParamSet {
    };

    ParamSet& params() override { return params_; }

    Task<> deliver(Delivery& delivery) override
    {
        const std::string& text = delivery.request().nexthop;
        DeliveryStatus status(ipc::DeliveryOutcome::sent, "2.0.0", text.empty() ? "silently" : text);
        co_await delivery.settle_rest(std::move(status));
    }

    NoParams params_;
};

} // namespace bulkhead

int main(int argc, char** argv)
{
    bulkhead::DiscardAgent agent;
    return bulkhead::run_worker(agent, argc, argv);
}
