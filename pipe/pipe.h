// pipe: the delivery agent that hands messages to a command, as master.cf names it.  The
// command is started as its user= by a process of its own (delivery/command_starter.h);
// this one has no rights at all.
#pragma once

#include "attributes.h"
#include "command_words.h"
#include "params.h"

#include "delivery/command_run.h"
#include "worker/delivery_agent.h"

#include <optional>
#include <string>
#include <vector>

namespace bulkhead
{

class Pipe final : public DeliveryAgent
{
public:
    ParamSet& params() override { return params_; }
    Result<> before_jail() override;
    Task<> deliver(Delivery& delivery) override;
    std::string status_filter() const override { return params_.status_filter(); }
    bool wants_attributes() const override { return true; }

private:
    DeliveryStatus status_of(ipc::DeliveryOutcome outcome, std::string dsn, std::string reason) const;
    DeliveryStatus status_of(const CommandVerdict& verdict) const;
    std::optional<DeliveryStatus> known_at_once(const ipc::DeliveryRequest& request) const;
    std::optional<DeliveryStatus> loop_of(const PipeMessage& message,
                                          const std::vector<std::string>& stops) const;
    Task<DeliveryStatus> hand_over(const Delivery& delivery, const PipeMessage& message);
    CommandRun plan(const Delivery& delivery, const PipeMessage& message,
                    std::vector<std::string> words) const;

    PipeParams params_;
    PipeAttributes attributes_;
    CommandIdentity user_;
    Seconds time_limit_{0};
    std::vector<std::string> environment_;
    std::optional<CommandStarter> starter_;
};

} // namespace bulkhead
