// Where new messages are put.  An interface, so that other ways of making them
// durable (hashed or recycled files, a log in front of the queue) can be measured
// and take the place of one file per message without a change in cleanup.
#pragma once

#include "base/result.h"
#include "spool/new_file.h"
#include "spool/paths.h"
#include "spool/queue_file.h"

#include <span>
#include <string_view>

namespace bulkhead
{

// Safe to call from several threads at once.
class Store
{
public:
    virtual ~Store() = default;

    // A new message whose bytes are all known: durable when this returns.
    virtual Result<QueueId> put(Queue queue, std::span<const std::string_view> pieces) = 0;

    // The first half, for messages whose text contains their id.  Cheap: an
    // empty, named file; nothing of it is on disk yet.
    virtual Result<NewQueueFile> reserve(Queue queue) = 0;

    // The second half: all bytes with one write, then durable.
    static Result<QueueId> finish(NewQueueFile file, std::span<const std::string_view> pieces);

    virtual Result<OpenQueueFile> open(Queue queue, const QueueId& id, Access access) = 0;
    virtual Result<> remove(Queue queue, const QueueId& id) = 0;
};

// One file per message, in the queue's own directory.
class DirectoryStore final : public Store
{
public:
    // The spool must outlive the store.
    explicit DirectoryStore(const Spool& spool, NewFileOptions options = {})
        : spool_(spool), options_(options)
    {
    }

    Result<QueueId> put(Queue queue, std::span<const std::string_view> pieces) override;
    Result<NewQueueFile> reserve(Queue queue) override;
    Result<OpenQueueFile> open(Queue queue, const QueueId& id, Access access) override;
    Result<> remove(Queue queue, const QueueId& id) override;

private:
    const Spool& spool_;
    NewFileOptions options_;
};

} // namespace bulkhead
