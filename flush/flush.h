// flush: keeps for some sites a list of the mail that waits for them (spool/site_log.h), so
// that a wish of such a site (ETRN, postqueue -s) does not read the whole deferred queue.
#pragma once

#include "params.h"

#include "async/key_lock.h"
#include "async/scope.h"
#include "ipc/channel.h"
#include "ipc/flush.h"
#include "spool/paths.h"
#include "table/domain_list.h"
#include "worker/message_worker.h"

#include <optional>
#include <string>

namespace bulkhead
{

class Flush final : public MessageWorker
{
public:
    ParamSet& params() override { return params_; }
    Result<> before_jail() override;
    Result<> after_jail() override;
    void wake() override;
    bool is_idle() const override { return scope_.size() == 0; }

protected:
    Task<ipc::Message> answer(const ipc::Message& request) override;
    void notified(std::string_view letters) override;

private:
    Task<Result<>> add(ipc::FlushAdd request);
    Task<Result<ipc::FlushAnswer>> release(std::string site);
    Task<Result<bool>> is_listed(std::string site);
    Task<Result<>> tell_queue_manager(char letter);
    static Task<> refresh(Flush* self);

    FlushParams params_;
    MatchList sites_;
    std::optional<Spool> spool_;
    std::optional<ipc::Service> queue_manager_;
    KeyLock releases_; // by site: who asks twice waits for the first
    bool refreshing_ = false;
    Scope scope_;
};

} // namespace bulkhead
