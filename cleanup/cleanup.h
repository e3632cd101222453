// The worker: takes messages record by record (ipc/cleanup.h), makes each a durable
// queue file, and tells the queue manager.  What a message looks like is the
// assembler's affair.
#pragma once

#include "assembler.h"
#include "async/offload.h"
#include "in_flow.h"
#include "ipc/channel.h"
#include "ipc/qmgr.h"
#include "log_writer.h"
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

    // A message that is stored may still have to be announced, or be in our log.
    bool is_idle() const override;
    void drain() override;

    Task<ipc::Message> explain(const ipc::Message& question) override;

protected:
    Task<bool> converse(Session& session, ipc::Message request) override;
    Task<ipc::Message> answer(const ipc::Message& request) override;

private:
    struct Settled {
        ipc::CleanupResult result;
        bool queued = false; // the queue manager should be told; of what is logged it is anyway
    };
    // A message that is coming in.  One whose name is lent by the log has no file yet.
    struct Draft {
        QueueId id;
        std::optional<LogWriter::Name> name;
        std::optional<NewQueueFile> file;
    };

    // These answer whether the client and we are still in step.
    Task<bool> take_message(Session& session, unsigned flags);
    Task<bool> take_records(Session& session, Assembler& message, MessageMilters& milters, Draft& draft,
                            std::optional<Error>& fault);

    // The id of a session's next message.
    class Lent;
    Task<Result<Draft>> begin_draft(Session& session);
    std::string lend_id(Session& session);
    void take_back(const LogWriter::Name& name);
    Task<Result<>> need_file(Draft& draft);
    Task<Settled> settle(Assembler& message, MessageMilters& milters, Draft& draft,
                         std::optional<Error> fault);
    Task<Result<>> run_milters(Assembler& message, MessageMilters& milters, Draft& draft, bool local);
    Task<Result<>> store(Assembler& message, Draft& draft);
    Task<Result<>> write_rest(Assembler& message, Draft& draft, bool complete);
    Task<Result<>> return_to_sender(Assembler& message, Draft& draft);
    Task<> discard(Draft& draft);
    void announce_later(const std::string& queue_id);
    static Task<> announce(Cleanup* self, std::string queue_id);
    void count_message();
    static Task<> begin_log(Cleanup* self);
    static Task<> announce_logged(Cleanup* self, ipc::QueueLogged logged);
    void look_after_log();
    void remind(Milliseconds age);

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
    InFlow in_flow_;
    std::optional<ipc::Service> bounce_;
    std::unique_ptr<LogWriter> log_; // null: each message gets a file
    bool beginning_log_ = false;
    bool reminding_ = false;
    std::int64_t queue_instance_ = 0; // of the queue manager that answered last
    Timer log_timer_{[this] { look_after_log(); }};
    SteadyTime log_rest_{};   // until then no log is begun
    SteadyTime rate_start_{}; // of the second in which messages are counted
    std::size_t rate_ = 0;
    Scope scope_;
    std::size_t announcements_ = 0;
    bool unannounced_ = false; // messages of which the queue manager was not told
};

} // namespace bulkhead
