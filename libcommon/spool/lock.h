// flock on queue files.  Exclusive: the queue manager while it (re)reads a file,
// and a writer until its file is durable.  Shared: a delivery agent, as long as
// the delivery lasts.  The kernel drops a lock with its descriptor.
#pragma once

#include "base/result.h"

namespace bulkhead
{

enum class FileLock { shared, exclusive };

// Never waits: false means that somebody else has it.
Result<bool> try_lock(int fd, FileLock kind);

// Waits; only for log files, which are held for one append.
Result<> lock_and_wait(int fd, FileLock kind);

Result<> unlock(int fd);

} // namespace bulkhead
