// One message of the active queue, as far as it must be in memory.
#pragma once

#include "scheduler.h"

#include "spool/envelope.h"
#include "spool/queue_id.h"

#include <forward_list>
#include <string>
#include <vector>

namespace bulkhead
{

struct ActiveMessage {
    QueueId id;
    Envelope envelope;           // its recipients have moved into the scheduler
    std::forward_list<Job> jobs; // of the scheduler, which alone changes them
    WallTime active_since;
    bool fresh = false;                     // never tried before, nor twice: no old logs exist
    bool force_expire = false;              // postsuper -e
    std::size_t outstanding = 0;            // recipients that wait or are being delivered
    std::size_t deferred = 0;               // recipients left for another attempt
    std::size_t bounced = 0;                // recipients that failed in this attempt
    bool uncertain = false;                 // an agent died: the file knows what was done
    bool wants_trace = false;               // the sender asked for reports
    bool is_probe = false;                  // of verify: nobody is to be told, whatever becomes of it
    bool one_by_one = false;                // VERP: each recipient sees a sender of his own
    std::vector<std::string> waiting_sites; // domains of deferred recipients that flush lists
    bool in_log = false;                    // it has no file: see commit_log.h
    bool filing = false;                    // it is getting one
    bool refilling = false;                 // more recipients are being read
    SteadyTime last_read{};                 // of recipients
};

} // namespace bulkhead
