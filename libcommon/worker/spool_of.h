// The worker's own view of its spool: inside the jail, or from the current folder,
// which is the same place.
#pragma once

#include "spool/paths.h"
#include "worker/worker.h"

namespace bulkhead
{

// Call it in after_jail(): the root is ".".
inline Result<Spool> open_own_spool(const WorkerParams& params)
{
    SpoolLayout layout;
    layout.root = ".";
    TRY(layout.hash_queues, QueueSet::parse_hash_names(params.hash_queue_names()));
    layout.hash_depth = static_cast<unsigned>(params.hash_queue_depth());
    return Spool::open(layout);
}

} // namespace bulkhead
