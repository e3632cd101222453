// showq: lists the queue to those who may connect to it.  A batch of files at a
// time, read by several threads and shown in order: the memory that it takes does not
// grow with the queue.
#pragma once

#include "ipc/shown_file.h"

#include "worker/message_worker.h"

#include <optional>

namespace bulkhead
{

class QueueScan;
struct QueueEntry;

class Showq final : public MessageWorker
{
public:
    ParamSet& params() override { return params_; }
    Result<> after_jail() override;

protected:
    Task<ipc::Message> answer(const ipc::Message& request) override;
    Task<bool> converse(Session& session, ipc::Message request) override;

private:
    struct Part;
    struct Batch;
    Task<Result<>> list(Stream& stream, ipc::ShowOptions options);
    Task<Result<>> list_queue(Stream& stream, Queue queue, ipc::ShowOptions options);
    Task<Result<>> send(Stream& stream, Queue queue, Batch& batch, ipc::ShowOptions options);
    static Task<> find_files(QueueScan* scan, Batch* batch);
    static Task<> read_part(Showq* self, Queue queue, Part* part, ipc::ShowOptions options);
    void read_file(Queue queue, const QueueEntry& entry, const ipc::ShowOptions& options,
                   std::string& frames) const;

    ParamSet params_; // those of every worker are enough
    std::optional<Spool> spool_;
};

} // namespace bulkhead
