// The worker: looks into maildrop/ when it starts, when it is woken and when postdrop
// says so, and hands each message to cleanup.  A file goes when cleanup has answered
// that the message is safe.
#pragma once

#include "ipc/cleanup.h"
#include "params.h"
#include "spool/queue_file.h"
#include "spool/scan.h"
#include "submission.h"
#include "worker/message_worker.h"

#include <optional>
#include <string>
#include <unordered_set>

namespace bulkhead
{

class Pickup final : public MessageWorker
{
public:
    Pickup();

    ParamSet& params() override { return params_; }
    Result<> after_jail() override;
    void wake() override { look(); }
    void drain() override { retry_.cancel(); }
    bool is_idle() const override { return !scanning_ && busy_.empty(); }
    std::int64_t wake_at() const override { return retry_at_; }

protected:
    Task<ipc::Message> answer(const ipc::Message& request) override;
    void notified(std::string_view letters) override;

private:
    // What to do with a file after all.
    enum class Fate { remove, keep, corrupt };

    void look();
    void look_again_soon();
    static Task<> scan(Pickup* self);
    Task<> scan_once();
    static Task<> take(Pickup* self, QueueEntry entry, Semaphore::Permit permit);
    Task<Fate> submit(const QueueEntry& entry);
    Task<Result<ipc::CleanupResult>> copy(Submission& submission, ipc::CleanupStream& cleanup);
    Task<> settle(const QueueEntry& entry, Fate fate);
    unsigned flags_for(const Submission& submission) const;

    PickupParams params_;
    unsigned flags_ = 0;
    std::optional<Spool> spool_;
    std::optional<ipc::Service> cleanup_;
    Semaphore permits_;
    Scope scope_;
    std::unordered_set<std::string> busy_; // paths that are being taken
    bool scanning_ = false;
    bool again_ = false;
    Timer retry_;
    std::int64_t retry_at_ = 0;
};

} // namespace bulkhead
