// A worker that answers requests of its siblings, one message at a time on each
// connection, and takes the one-letter notifications that scripts and old tools
// write to the same sockets (queue-format.md section 11).
#pragma once

#include "ipc/message.h"
#include "worker/worker.h"

namespace bulkhead
{

class MessageWorker : public Worker
{
public:
    Task<> serve(Session& session) final;

protected:
    // The answer to one request.  A request that does not parse is answered with
    // ipc::failure() and logged by the worker.
    virtual Task<ipc::Message> answer(const ipc::Message& request) = 0;

    // Letters as they came, "W" or "FADI"; the default forgets them.
    virtual void notified(std::string_view letters);

    // For conversations that are not request and answer (cleanup, showq): takes over
    // after the first message of each exchange; false ends the session.
    virtual Task<bool> converse(Session& session, ipc::Message request);

    // For converse(): sends one message, with its line in the -v trace.
    static Task<Result<>> tell(Session& session, const ipc::Message& message);
};

} // namespace bulkhead
