// Where a session puts a message, record by record: cleanup, or for smtpd -S the
// maildrop queue.  Destroying a sink before finish() breaks the message off.
#pragma once

#include "async/task.h"
#include "ipc/cleanup.h"

#include <string>
#include <utility>
#include <vector>

namespace bulkhead
{

class MessageSink
{
public:
    virtual ~MessageSink() = default;

    virtual const std::string& queue_id() const = 0;

    // Collect records here; call send_some() when wants_sending().
    virtual std::string& records() = 0;
    virtual bool wants_sending() const = 0;
    virtual Task<Result<>> send_some() = 0;

    // Waits until the message is on disk or refused.  flags: of ipc::cleanup_flag, hold or discard.
    virtual Task<Result<ipc::CleanupResult>> finish(unsigned flags) = 0;

    // Connections to mail filters, to be used until finish() is over; in front of it.
    virtual void lend_milters(const std::vector<std::string>&, std::vector<int>) {}
    // Null, or the filter that stands before the queue: its replies are the client's.
    virtual class BeforeQueueFilter* filter() { return nullptr; }

    // What the receiving side may be told beyond sender, recipients and DSN: a
    // submission by postdrop says nothing of a client, and gets its Received: later.
    virtual bool wants_client_attributes() const { return true; }
};

// A message on its way to cleanup.
class CleanupSink final : public MessageSink
{
public:
    explicit CleanupSink(ipc::CleanupStream stream) : stream_(std::move(stream)) {}

    const std::string& queue_id() const override { return stream_.queue_id(); }
    std::string& records() override { return stream_.records(); }
    bool wants_sending() const override { return stream_.wants_sending(); }
    Task<Result<>> send_some() override;
    void lend_milters(const std::vector<std::string>& states, std::vector<int> descriptors) override
    {
        stream_.lend_milters(states, std::move(descriptors));
    }
    Task<Result<ipc::CleanupResult>> finish(unsigned flags) override;

private:
    ipc::CleanupStream stream_;
};

} // namespace bulkhead
