// showq: lists the queue to those who may connect to it.  A slice of files at a
// time: the memory that it takes does not grow with the queue.
#pragma once

#include "ipc/shown_file.h"

#include "worker/message_worker.h"

#include <optional>

namespace bulkhead
{

class Showq final : public MessageWorker
{
public:
    ParamSet& params() override { return params_; }
    Result<> after_jail() override;

protected:
    Task<ipc::Message> answer(const ipc::Message& request) override;
    Task<bool> converse(Session& session, ipc::Message request) override;

private:
    Task<Result<>> list(Stream& stream, ipc::ShowOptions options);
    Task<Result<>> list_queue(Stream& stream, Queue queue, ipc::ShowOptions options);

    ParamSet params_; // those of every worker are enough
    std::optional<Spool> spool_;
};

} // namespace bulkhead
