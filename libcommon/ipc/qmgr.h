// Telling the queue manager.  A socket of public/, so that scripts may write the
// letters W I D A F to it; our own programs send messages that are answered, which
// is how cleanup knows that an arrival was seen.
#pragma once

#include "async/task.h"
#include "ipc/channel.h"

#include <string>

namespace bulkhead::ipc
{

// A message is complete and durable in incoming/.  Without an id: there may be several.
Message encode_queue_arrival(std::string_view queue_id);
Result<std::string> decode_queue_arrival(const Message& message);

// Try again now: one message, the messages for one destination, or all (both empty).
struct QueueFlush {
    std::string queue_id;
    std::string destination;
};
Message encode(const QueueFlush& request);
Result<QueueFlush> decode_queue_flush(const Message& message);

} // namespace bulkhead::ipc
