// One message of the active queue, as far as it must be in memory.
#pragma once

#include "spool/envelope.h"
#include "spool/queue_id.h"

namespace bulkhead
{

struct ActiveMessage {
    QueueId id;
    Envelope envelope; // its recipients have moved into the scheduler
    WallTime active_since;
    bool fresh = false;          // never tried before: no logs of earlier attempts exist
    bool force_expire = false;   // postsuper -e
    std::size_t outstanding = 0; // recipients that wait or are being delivered
    std::size_t deferred = 0;    // recipients left for another attempt
    std::size_t bounced = 0;     // recipients that failed in this attempt
    bool uncertain = false;      // an agent died: the file knows what was done
    bool wants_trace = false;    // the sender asked for reports
    bool refilling = false;      // more recipients are being read
    SteadyTime last_read{};      // of recipients
};

} // namespace bulkhead
