// One conversation with a worker from a command: no event loop, every call waits, but
// never longer than the patience given.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "ipc/message.h"

#include <string>

namespace bulkhead
{

class FrameClient
{
public:
    // Fault::io with errno ENOENT, ECONNREFUSED: nobody listens; EACCES: not for us.
    // patience: seconds for each send and each receive.
    static Result<FrameClient> connect(const std::string& path, int patience = 60);

    Result<> send(const ipc::Message& message);
    // The next answer.  Fault::closed: the worker has gone; Fault::timeout.
    Result<ipc::Message> receive();

private:
    explicit FrameClient(UniqueFd fd) : fd_(std::move(fd)) {}
    Result<std::string> read_exactly(std::size_t size);

    UniqueFd fd_;
    std::string held_;      // received
    std::size_t given_ = 0; // of it, to the caller
};

// Writes letters to a notification socket; a full one is no error, for then it is
// being looked at anyway.
Result<> notify(const std::string& path, std::string_view letters);

} // namespace bulkhead
