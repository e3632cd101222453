// The environments as the front door sees them: one socket each, where the master listens until
// a worker does.  A sick one costs its own clients some seconds, and nobody else anything.
#pragma once

#include "async/task.h"
#include "ipc/hand_over.h"

#include <map>
#include <memory>
#include <string>

namespace bulkhead
{

class Environments
{
public:
    Environments(Milliseconds timeout, std::size_t waiting_limit)
        : timeout_(timeout), waiting_limit_(waiting_limit)
    {
    }

    // The channel to whoever has taken the session.  The error is for the log and the client.
    Task<Result<std::unique_ptr<Stream>>> give(std::string environment, ipc::SessionState state, int client);

private:
    Milliseconds timeout_;
    std::size_t waiting_limit_; // sessions that wait for one environment
    std::map<std::string, std::size_t> waiting_;
};

} // namespace bulkhead
