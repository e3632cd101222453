// showq: lists the queue to those who may connect to it.  A few files at a time, read by
// several threads: the memory that it takes does not grow with the queue.
#pragma once

#include "ipc/shown_file.h"

#include "worker/message_worker.h"

#include <optional>

namespace bulkhead
{

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
    struct Listing;
    struct Part;
    Task<Result<>> list(Stream& stream, ipc::ShowOptions options);
    Task<Result<>> list_queue(Stream& stream, Queue queue, ipc::ShowOptions options);
    Task<Result<>> send(Stream& stream, const Listing& listing, Part& part);
    static Task<> read_next(Showq* self, Listing* listing, Part* part);
    static Result<> find_files(Listing& listing, Part& part);
    void read_files(const Listing& listing, Part& part) const;
    void read_file(const Listing& listing, const QueueEntry& entry, std::string& frames) const;

    ParamSet params_; // those of every worker are enough
    std::optional<Spool> spool_;
};

} // namespace bulkhead
