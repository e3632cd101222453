// Carries the bytes of a TLS session that the front door has made to the environment that goes on
// with it, and back, until one side ends.
#pragma once

#include "async/stream.h"
#include "async/task.h"
#include "base/result.h"

#include <memory>

namespace bulkhead
{

struct SocketPair {
    UniqueFd ours;
    UniqueFd theirs;
};

// Without sockets when the kernel has none left.
SocketPair make_socket_pair();

// client must be upgraded.  Returns when the session is over.
Task<> carry(Stream* client, UniqueFd server);

} // namespace bulkhead
