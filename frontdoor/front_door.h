// The front door worker: greets clients on the port of many environments, and hands each session to
// the environment that a table names for it.
#pragma once

#include "decision.h"
#include "environments.h"
#include "offers.h"
#include "params.h"

#include "ipc/anvil.h"
#include "table/domain_list.h"
#include "tls/context.h"
#include "worker/worker.h"

#include <memory>
#include <optional>
#include <string>

namespace bulkhead
{

// What all sessions share; outlives them.
struct DoorService {
    explicit DoorService(const FrontDoorParams& p) : params(p) {}

    const FrontDoorParams& params;
    std::string name; // of the service
    std::string myhostname;
    std::optional<Decisions> decisions;
    std::optional<Environments> environments;
    Offers offers;
    std::unique_ptr<tls::ServerContext> tls; // null: no certificate of its own
    MatchList forbidden_commands;
    MatchList upstream_proxies;
    MatchList unlimited_clients;
    MatchList xclient_hosts;
    ipc::Anvil anvil{"private/anvil"};
};

class FrontDoor final : public Worker
{
public:
    FrontDoor();
    ~FrontDoor() override;

    ParamSet& params() override { return params_; }
    Result<> before_jail() override;
    Result<> after_jail() override;
    Task<> serve(Session& client) override;
    std::string refusal() const override;

private:
    Result<MatchList> open_list(const Param<std::string>& param, ListKind kind) const;
    void hand_over_if_stale();

    FrontDoorParams params_;
    DoorService service_{params_};
    SteadyTime tables_checked_{};
};

} // namespace bulkhead
