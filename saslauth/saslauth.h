// The worker: keeps password hashes out of the programs that read strangers' bytes.  Speaks
// the Dovecot authentication protocol, so that smtpd needs to know one kind of service only.
#pragma once

#include "conversation.h"
#include "params.h"
#include "user_store.h"

#include "worker/worker.h"

#include <memory>
#include <optional>

namespace bulkhead
{

class SaslAuth final : public Worker
{
public:
    ParamSet& params() override { return params_; }
    Result<> before_jail() override;
    Task<> serve(Session& session) override;

private:
    SaslAuthParams params_;
    std::unique_ptr<UserStore> users_;
    std::optional<LoginService> service_;
};

} // namespace bulkhead
