// Asking bounce, defer and trace (one program, three services): keep a recipient's
// fate in the message's log, and send the notice made from that log.
#pragma once

#include "async/task.h"
#include "ipc/channel.h"
#include "spool/recipient_log.h"

#include <string>

namespace bulkhead::ipc
{

struct BounceAppend {
    std::string queue_id;
    RecipientLogEntry entry;
};

// What to make of a message's log.
enum class Notice : std::uint8_t {
    bounce, // service bounce: recipients failed, tell the sender; the log is removed
    warn,   // service defer: tell the sender that mail is delayed; the log stays
    expire, // service defer: no more attempts, the defer log is the reason
    trace,  // service trace: what the sender asked to be told; the log is removed
};

struct BounceFlush {
    Notice notice = Notice::bounce;
    std::string queue_name; // where the message is
    std::string queue_id;
    std::string encoding;
    std::string sender; // internal form, empty: the null sender
    std::string envelope_id;
    unsigned ret_flags = 0;
    unsigned send_options = 0;
    std::string verp;           // two delimiters: a notice for each failed recipient, to his own sender
    bool delay_cleared = false; // trace: tell of deliveries to those who were told of the delay
};

Message encode(const BounceAppend& request);
Message encode(const BounceFlush& request);
Result<BounceAppend> decode_bounce_append(const Message& message);
Result<BounceFlush> decode_bounce_flush(const Message& message);

// Fault::broken unless the service has done it durably.
Task<Result<>> request_bounce(Service& service, Message request);

} // namespace bulkhead::ipc
