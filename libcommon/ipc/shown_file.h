// One queue file as a listing shows it: read by showq for its clients, and by the
// commands that look into a spool themselves.  Synchronous.
#pragma once

#include "base/result.h"
#include "ipc/showq.h"
#include "spool/paths.h"
#include "spool/queue_file.h"

namespace bulkhead::ipc
{

struct ShowOptions {
    bool message_id = false;                      // look for the Message-ID header too
    std::size_t max_recipients = 50'000;          // a message with more is shown with as many
    std::size_t max_recipient_bytes = 900 * 1000; // what one frame can hold
};

// Recipients with a reason in the defer log come first, in the order of the log, as mailq
// always had it.  Fault::malformed: no whole queue file.
Result<ShownMessage> read_shown_message(const Spool& spool, Queue queue, const QueueId& id,
                                        const OpenQueueFile& file, const ShowOptions& options = {});

// The value of the message's Message-ID header, "<x@y>"; "" where there is none near the top.
std::string find_message_id(int fd, std::int64_t data_offset);

} // namespace bulkhead::ipc
