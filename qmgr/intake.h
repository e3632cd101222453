// Queue files into the active queue and out of it: what the queue manager does on
// disk.  Synchronous, for the thread pool; knows nothing of scheduling.
#pragma once

#include "spool/commit_log.h"
#include "spool/envelope.h"
#include "spool/moves.h"
#include "spool/paths.h"
#include "spool/queue_id.h"
#include "spool/scan.h"

#include <cstdint>
#include <string>

namespace bulkhead
{

// What became of an attempt to take a file into the active queue.
enum class ClaimState {
    claimed,
    gone,    // removed meanwhile, or a leftover that was removed now
    busy,    // somebody holds its lock: being written, or still being delivered
    early,   // its time has not come
    corrupt, // moved to corrupt/ ("reason" says why)
    failed,  // the disk: try later
};

struct Claim {
    ClaimState state = ClaimState::failed;
    std::string reason;
    Envelope envelope;
    bool force_expire = false;
    bool unthrottle = false;
};

struct ClaimOptions {
    Queue from = Queue::incoming;
    bool fresh = false;       // cleanup has just told us: no log of an earlier attempt exists
    bool ignore_time = false; // flush
    std::size_t max_recipients = 1000;
    std::int64_t now = 0;
};

// Takes the lock, moves the file to active/, reads its envelope.  The lock is what
// keeps a file that is not durable yet, or still being delivered, out of our hands.
Claim claim_queue_file(const Spool& spool, const QueueId& id, const ClaimOptions& options);

// The same for a message in the commit log: nothing moves, no lock is needed, for only we were
// told of it.
Claim claim_logged(const Spool& spool, LogSegment& segment, const LogStates& states, const LogPlace& place,
                   std::size_t max_recipients);

// What a scan has shown is not where its id belongs: the hash settings have changed, or the
// spool comes from elsewhere.
bool is_misplaced(const Spool& spool, Queue queue, const QueueEntry& entry);

// Puts every message that is not active, and every log, where its id belongs; logs what
// cannot be moved.
Result<std::size_t> rehash_spool(const Spool& spool);

// Removes the files of incoming/ that never got a name of their own, because their writer
// was killed.  Says how many are too young to tell.
Result<std::size_t> remove_nameless(const Spool& spool, std::int64_t now);

// After a start: everything in active/ goes back to incoming/, due now.
Result<std::size_t> recover_active(const Spool& spool);

} // namespace bulkhead
