// What is known of one address: the value of a cache entry, "state:probed:updated:text"
// (queue-format.md, 14.5), and what follows from it.  Pure: times come in as arguments.
#pragma once

#include "base/result.h"
#include "ipc/verify.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace bulkhead
{

// In seconds.
struct VerifyTimes {
    std::int64_t positive_refresh = 0;
    std::int64_t positive_expire = 0;
    std::int64_t negative_refresh = 0;
    std::int64_t negative_expire = 0;
};

// A probe without a result for so long is believed lost; until then no second one is sent.
inline constexpr std::int64_t probe_patience = 1000; // seconds

struct KnownAddress {
    ipc::AddressState state = ipc::AddressState::pending;
    std::int64_t probed = 0;  // when a probe was sent that has not come back; 0: none
    std::int64_t updated = 0; // when the state was found; 0: never
    std::string text;         // "5.1.1 host mx said: ..."

    bool operator==(const KnownAddress&) const = default;
};

Result<KnownAddress> parse_known_address(std::string_view value);
std::string cache_value(const KnownAddress& known);

// Nothing that it says is good any more.
bool is_expired(const KnownAddress& known, std::int64_t now, const VerifyTimes& times);

// Nothing is known, or it is old, and no probe is under way.
bool wants_probe(const KnownAddress& known, std::int64_t now, const VerifyTimes& times);

// For who asks now.
ipc::AddressVerdict verdict_on(const KnownAddress& known, std::int64_t now, const VerifyTimes& times);

// A probe's result comes in.  What was deliverable stays so until it expires: one failed
// probe may mean no more than that a server was down, or that it was one of several that an
// alias stands for.
KnownAddress with_result(KnownAddress known, const ipc::AddressVerdict& result, std::int64_t now,
                         const VerifyTimes& times);

} // namespace bulkhead
