// What qmgr asks of a delivery agent (smtp, virtual, error, discard, ...), and its
// answer: one request is one message, one next hop, some recipients.
#pragma once

#include "base/clock.h"
#include "ipc/message.h"

#include <cstdint>
#include <string>
#include <vector>

namespace bulkhead::ipc
{

struct DeliveryRecipient {
    std::int64_t offset = -1; // of its R record; -1: not in the file
    std::string address;      // where to deliver, internal form
    std::string original;     // as received; may be empty
    std::string dsn_original; // "rfc822;a@b"; may be empty
    unsigned notify = 0;      // NOTIFY mask, 0: not given
};

struct DeliveryRequest {
    std::string queue_name; // "active"
    std::string queue_id;
    std::string log_place; // where the commit log has it (spool/commit_log.h); empty: it has a file
    std::string nexthop;
    std::string sender;   // internal form
    std::string encoding; // "7bit", "8bit" or empty
    std::string envelope_id;
    unsigned ret_flags = 0;
    unsigned trace_flags = 0;  // trace_flag bits of spool/envelope.h
    unsigned send_options = 0; // spool/size_record.h
    std::int64_t data_offset = 0;
    std::int64_t content_length = 0; // bytes, as logged
    WallTime arrival;                // T record
    WallTime active_since;           // qmgr took it up
    WallTime handed_over;            // qmgr sent this request
    std::string rewrite_context;
    std::vector<DeliveryRecipient> recipients;
};

enum class DeliveryOutcome : std::uint8_t { sent, bounced, deferred };

// The answer.  Recipients that were sent or bounced are marked in the queue file
// already; qmgr needs only to know whether some are left.
struct DeliveryReport {
    std::vector<DeliveryOutcome> outcomes; // one for each recipient, in order
    // Set when the next hop itself is in trouble (no connection, 4xx greeting): the
    // scheduler slows down or suspends that destination.
    std::string site_dsn;
    std::string site_reason;
};

Message encode(const DeliveryRequest& request);
Message encode(const DeliveryReport& report);
Result<DeliveryRequest> decode_delivery_request(const Message& message);
Result<DeliveryReport> decode_delivery_report(const Message& message);

} // namespace bulkhead::ipc
