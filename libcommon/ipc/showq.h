// Listing the queue: one request, then one message per queue file, then the end.
// Answered by showq/, asked by postqueue and the spool inspector.
//
//   show_queue {}      ->
//                      <-  show_message {...}   for each file
//                      <-  ok {}                the end
#pragma once

#include "ipc/message.h"

#include <cstdint>
#include <string>
#include <vector>

namespace bulkhead::ipc
{

struct ShownRecipient {
    std::string address; // internal form
    std::string reason;  // from the defer log; may be empty
};

struct ShownMessage {
    std::string queue_name;
    std::string queue_id;
    std::int64_t arrival_time = 0; // unix time
    std::int64_t size = 0;         // bytes
    bool forced_expire = false;
    std::string sender;                     // internal form
    std::string message_id;                 // the Message-ID header where it was read; may be empty
    std::vector<ShownRecipient> recipients; // not yet done
};

Message encode(const ShownMessage& shown);
Result<ShownMessage> decode_shown_message(const Message& message);

} // namespace bulkhead::ipc
