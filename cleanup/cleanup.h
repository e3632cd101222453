// The worker: takes messages record by record (ipc/cleanup.h), makes each a durable
// queue file, and tells the queue manager.  What a message looks like is the
// assembler's affair.
#pragma once

#include "assembler.h"
#include "async/offload.h"
#include "ipc/channel.h"
#include "milters.h"
#include "spool/file_pool.h"
#include "spool/store.h"
#include "worker/message_worker.h"

#include <memory>
#include <optional>

namespace bulkhead
{

class Cleanup final : public MessageWorker
{
public:
    ParamSet& params() override { return params_; }
    Result<> before_jail() override;
    Result<> after_jail() override;
    bool must_hand_over() override;

    // A message that is stored may still have to be announced.
    bool is_idle() const override { return announcements_ == 0; }

    Task<ipc::Message> explain(const ipc::Message& question) override;

protected:
    Task<bool> converse(Session& session, ipc::Message request) override;
    Task<ipc::Message> answer(const ipc::Message& request) override;

private:
    struct Settled {
        ipc::CleanupResult result;
        bool queued = false; // the queue manager should know
    };

    // These answer whether the client and we are still in step.
    Task<bool> take_message(Session& session, unsigned flags);
    Task<bool> take_records(Session& session, Assembler& message, MessageMilters& milters, NewQueueFile& file,
                            std::optional<Error>& fault);

    Task<Settled> settle(Assembler& message, MessageMilters& milters, NewQueueFile file,
                         std::optional<Error> fault);
    Task<Result<>> run_milters(Assembler& message, MessageMilters& milters, NewQueueFile& file, bool local);
    Task<Result<>> write_rest(Assembler& message, NewQueueFile& file, bool complete);
    Task<Result<>> return_to_sender(Assembler& message, NewQueueFile& file);
    Task<> discard(NewQueueFile file);
    void announce_later(const std::string& queue_id);
    static Task<> announce(Cleanup* self, std::string queue_id);

    CleanupParams params_;
    AddressMaps maps_;
    ContentChecks checks_;
    MilterService milters_;
    CharacterSet strip_;
    CharacterSet reject_;
    std::unique_ptr<AddressCompleter> completer_;
    std::optional<AssemblyPolicy> policy_;
    std::optional<Spool> spool_;
    std::optional<FilePool> pool_;
    std::optional<DirectoryStore> store_;
    Lane naming_; // of new files: all in one folder
    std::optional<ipc::Service> queue_manager_;
    std::optional<ipc::Service> bounce_;
    Scope scope_;
    std::size_t announcements_ = 0;
    bool unannounced_ = false; // messages of which the queue manager was not told
};

} // namespace bulkhead
