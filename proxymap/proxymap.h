// The worker: looks up in tables for those that cannot open them - workers in a jail - and
// keeps few connections to the tables' servers for all of them.  As "proxywrite" it is the
// one process that changes the tables that several programs write to.
#pragma once

#include "allow_list.h"
#include "params.h"
#include "shared_table.h"
#include "table/proxy_protocol.h"
#include "worker/worker.h"

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

namespace bulkhead
{

class Proxymap final : public Worker
{
public:
    ParamSet& params() override { return params_; }
    JailPolicy jail_policy() const override;
    Result<> before_jail() override;
    Task<> serve(Session& session) override;

private:
    Task<ProxyReply> answer(ProxyRequest request);
    std::optional<ProxyReply> refused(const ProxyRequest& request) const;

    ProxymapParams params_;
    bool writes_ = false;
    std::optional<AllowList> allowed_;
    std::unordered_map<std::string, std::unique_ptr<SharedTable>> tables_; // by flags and name; never smaller
};

} // namespace bulkhead
