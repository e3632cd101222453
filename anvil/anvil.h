// anvil: counts what clients do, for all smtpd processes of the environment, in memory.
// It decides nothing: limits are smtpd's business.
#pragma once

#include "client_table.h"
#include "params.h"

#include "worker/worker.h"

#include <optional>

namespace bulkhead
{

class AnvilWorker final : public Worker
{
public:
    AnvilWorker();

    ParamSet& params() override { return params_; }
    Result<> after_jail() override;
    Task<> serve(Session& session) override;
    void drain() override { log_statistics(); }

    // Rates must not be forgotten before their time is over.
    Seconds idle_time() const override;

private:
    void tick();
    void log_statistics();

    AnvilParams params_;
    std::optional<ClientTable> clients_;
    Timer sweep_timer_;
    Timer status_timer_;
};

} // namespace bulkhead
