// The SMTP server worker: one process, many sessions.
#pragma once

#include "milters.h"
#include "server_sasl.h"
#include "server_tls.h"
#include "session.h"

#include "worker/worker.h"

#include <memory>
#include <optional>

namespace bulkhead
{

class Smtpd final : public Worker
{
public:
    Smtpd();
    ~Smtpd() override;

    JailPolicy jail_policy() const override;
    ParamSet& params() override { return params_; }

    // Tables and lists outside the jail are opened while we can still see them.
    Result<> before_jail() override;
    Task<> serve(Session& client) override;
    std::string refusal() const override;
    Task<ipc::Message> explain(const ipc::Message& question) override;
    bool must_hand_over() override;

private:
    SmtpdParams params_;
    std::unique_ptr<ipc::RewriteSource> local_rewriting_; // -E, for rewriter_
    std::optional<ipc::RewriteClient> rewriter_;
    std::optional<ipc::Service> cleanup_;
    std::unique_ptr<dns::Resolver> resolver_; // used by policy_
    std::unique_ptr<Policy> policy_;
    std::unique_ptr<ServerTls> tls_;
    std::unique_ptr<ServerSasl> sasl_;
    std::unique_ptr<MilterPolicy> milters_;
    std::unique_ptr<ClientLimits> limits_;
    ReportPolicy reports_;
    std::optional<DiskSpace> disk_;
    std::optional<ipc::Service> flush_;
    std::unique_ptr<PolicyServer> before_queue_;
    ProtocolTables tables_;
    std::optional<SmtpdService> service_;
};

} // namespace bulkhead
