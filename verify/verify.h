// verify: says whether mail for an address would be taken, from a cache; where it does not
// know, it sends a probe: a message that goes the way of all others and that a delivery
// agent ends before it is delivered.  Nobody waits for a probe here: who asks, asks again.
#pragma once

#include "known_address.h"
#include "params.h"
#include "probe_cache.h"

#include "async/key_lock.h"
#include "async/scope.h"
#include "ipc/channel.h"
#include "worker/message_worker.h"

#include <memory>
#include <optional>
#include <string>

namespace bulkhead
{

class Verify final : public MessageWorker
{
public:
    Verify();

    ParamSet& params() override { return params_; }
    Result<> before_jail() override;
    Result<> after_jail() override;
    bool is_idle() const override { return scope_.size() == 0; }

protected:
    Task<ipc::Message> answer(const ipc::Message& request) override;

private:
    Task<Result<ipc::AddressVerdict>> query(std::string address);
    Task<Result<>> update(ipc::VerifyUpdate update);
    Task<Result<>> send_probe(std::string address);
    std::string probe_records(const std::string& address, std::int64_t now) const;
    static Task<> clean(Verify* self);
    void clean_later();

    VerifyParams params_;
    VerifyTimes times_;
    std::unique_ptr<ProbeCache> cache_;
    std::optional<ipc::Service> cleanup_;
    KeyLock addresses_; // one change at a time for each
    Timer clean_timer_;
    Scope scope_;
};

// The sender of probes: "" for the null sender (<> or nothing).  With a ttl its local part
// changes, so that who collects it has something that ends.
std::string probe_sender(std::string_view configured, std::string_view myorigin, std::int64_t ttl,
                         std::int64_t now);

} // namespace bulkhead
