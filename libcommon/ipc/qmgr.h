// Telling the queue manager.  A socket of public/, so that scripts may write the
// letters W I D A F to it; our own programs send messages that are answered, which
// is how cleanup knows that an arrival was seen.
#pragma once

#include "async/task.h"
#include "ipc/channel.h"
#include "spool/commit_log.h"

#include <string>
#include <vector>

namespace bulkhead::ipc
{

// A message is complete and durable in incoming/.  Without an id: there may be several.
Message encode_queue_arrival(std::string_view queue_id);
Result<std::string> decode_queue_arrival(const Message& message);

// Messages are durable in the commit log.  again: a while ago, and they are still there.
struct QueueLogged {
    std::vector<LogPlace> places;
    bool again = false;
    std::int64_t instance = 0; // the queue manager that this is meant for; 0: any
};
Message encode(const QueueLogged& logged);
Result<QueueLogged> decode_queue_logged(const Message& message);

// The answer to both.
struct QueueTaken {
    std::int64_t instance = 0; // a number for the queue manager that knows of them now
    bool is_behind = false;    // mail comes in faster than it leaves: see in_flow_delay
};
Message encode(const QueueTaken& taken);
Result<QueueTaken> decode_queue_taken(const Message& answer); // anything else than ok: Fault::refused

// Try again now: one message, the messages for one destination, or all (both empty).
struct QueueFlush {
    std::string queue_id;
    std::string destination;
};
Message encode(const QueueFlush& request);
Result<QueueFlush> decode_queue_flush(const Message& message);

} // namespace bulkhead::ipc
