// Asking verify whether mail for an address would be taken, and telling it what a
// probe has found out.  smtpd asks (reject_unverified_recipient, _sender), delivery
// agents tell; answered by verify/.
#pragma once

#include "async/task.h"
#include "ipc/channel.h"

#include <cstdint>
#include <string>

namespace bulkhead::ipc
{

// The numbers stand in the cache (queue-format.md, 14.5).
enum class AddressState : std::uint8_t {
    deliverable = 0,
    deferred = 1,      // the probe found a temporary fault
    undeliverable = 2, // refused for good
    pending = 3,       // not known yet: a probe is under way
};

struct AddressVerdict {
    AddressState state = AddressState::pending;
    std::string text; // why, in the words of the next hop: "host mx[192.0.2.1] said: 550 ..."
    std::string dsn;  // "5.1.1"; may be empty
};

struct VerifyUpdate {
    std::string address; // internal form, as it was asked for
    AddressVerdict verdict;
};

Message encode_verify_query(std::string_view address);
Message encode(const AddressVerdict& verdict);
Message encode(const VerifyUpdate& update);
Result<std::string> decode_verify_query(const Message& message);
Result<AddressVerdict> decode_address_verdict(const Message& message);
Result<VerifyUpdate> decode_verify_update(const Message& message);

// What is known about an address (internal form); starts a probe where nothing is, or
// where it is old.  Asks up to poll_count times with poll_delay between
// (address_verify_poll_count, _poll_delay) and then answers AddressState::pending.
// Fault::broken: the service cannot be had, a temporary failure.
Task<Result<AddressVerdict>> verify_address(Service& verify, std::string address, int poll_count,
                                            Milliseconds poll_delay);

// A probe's result.  Fault::broken unless the service has kept it.
Task<Result<>> report_probe(Service& verify, VerifyUpdate update);

} // namespace bulkhead::ipc
