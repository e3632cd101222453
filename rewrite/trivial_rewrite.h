// The worker: answers ipc Kind::rewrite and Kind::resolve from a Resolver that is
// opened before the jail, and hands over to a fresh process when a table changes.
#pragma once

#include "routing/open.h"
#include "worker/message_worker.h"

#include <optional>

namespace bulkhead
{

class TrivialRewrite final : public MessageWorker
{
public:
    ParamSet& params() override { return params_; }
    Result<> before_jail() override;
    bool must_hand_over() override;

protected:
    Task<ipc::Message> answer(const ipc::Message& request) override;

private:
    RewriteParams params_;
    std::optional<Resolver> resolver_;
    std::optional<Resolver> probe_resolver_; // where probes go another way
};

} // namespace bulkhead
