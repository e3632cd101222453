// One queue file as the listing shows it.  Synchronous: runs on the pool.
#pragma once

#include "base/result.h"
#include "ipc/showq.h"
#include "spool/scan.h"

#include <optional>

namespace bulkhead
{

struct ShowOptions {
    bool message_id = false; // look for the Message-ID header in the first 8 KiB
};

// nullopt: the file is gone, or nothing that a listing shows (still being written,
// damaged: qmgr will say so).
std::optional<ipc::ShownMessage> show_file(const Spool& spool, Queue queue, const QueueEntry& entry,
                                           const ShowOptions& options);

} // namespace bulkhead
