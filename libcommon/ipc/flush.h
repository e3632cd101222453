// The lists of mail that waits for a site, for ETRN and postqueue -s.  qmgr adds what
// it defers, smtpd and postqueue ask for delivery; answered by flush/.
#pragma once

#include "async/task.h"
#include "ipc/channel.h"

#include <string>
#include <vector>

namespace bulkhead::ipc
{

// One message waits for these sites (domains; flush keeps those in fast_flush_domains).
struct FlushAdd {
    std::string queue_id;
    std::vector<std::string> sites;
};

// What became of the wish to deliver a site's mail now; the reply of ETRN (RFC 1985, 4)
// stands behind it.
enum class FlushAnswer : std::uint8_t {
    started,     // 250 Queuing started
    unavailable, // 458 Unable to queue messages: try later
    refused,     // 459 <site>: service unavailable: not in fast_flush_domains
};

Message encode(const FlushAdd& request);
Message encode_flush_site(std::string_view site);
Message encode_flush_answer(FlushAnswer answer);
Result<FlushAdd> decode_flush_add(const Message& message);
Result<std::string> decode_flush_site(const Message& message);
Result<FlushAnswer> decode_flush_answer(const Message& message);

// Delivers what waits for the site (a domain or [literal], any case).  Never an error: a
// service that does not answer is FlushAnswer::unavailable.  Service: "public/flush"
// (flush_service_name).
Task<FlushAnswer> flush_site(Service& flush, std::string site);

} // namespace bulkhead::ipc
