#include "known_address.h"

#include "base/text.h"

#include <algorithm>

#include <fmt/format.h>

namespace bulkhead
{

using ipc::AddressState;

namespace
{

constexpr std::size_t text_limit = 1000; // bytes; SMTP replies are shorter

// "5.1.1 text": the code is told from the text where it looks like one (RFC 3463, 2).
bool is_status_code(std::string_view word)
{
    const auto parts = split(word, ".");
    return parts.size() == 3 && word.size() <= 9 && (parts[0] == "2" || parts[0] == "4" || parts[0] == "5") &&
           parse_unsigned(parts[1]) && parse_unsigned(parts[2]);
}

std::int64_t age(const KnownAddress& known, std::int64_t now)
{
    return now - known.updated;
}

} // namespace

Result<KnownAddress> parse_known_address(std::string_view value)
{
    KnownAddress known;
    std::uint64_t numbers[3] = {};
    for (std::uint64_t& number : numbers) {
        const auto colon = value.find(':');
        const auto parsed = parse_unsigned(value.substr(0, std::min(colon, value.size())));
        if (colon == value.npos || !parsed || *parsed > std::uint64_t{1} << 40)
            return Error{Fault::malformed, "bad entry of the address verification cache"};
        number = *parsed;
        value.remove_prefix(colon + 1);
    }
    if (numbers[0] > static_cast<std::uint64_t>(AddressState::pending))
        return Error{Fault::malformed, "unknown state in the address verification cache"};
    known.state = static_cast<AddressState>(numbers[0]);
    known.probed = static_cast<std::int64_t>(numbers[1]);
    known.updated = static_cast<std::int64_t>(numbers[2]);
    known.text = value;
    return known;
}

std::string cache_value(const KnownAddress& known)
{
    return fmt::format("{}:{}:{}:{}", static_cast<int>(known.state), known.probed, known.updated, known.text);
}

bool is_expired(const KnownAddress& known, std::int64_t now, const VerifyTimes& times)
{
    switch (known.state) {
    case AddressState::deliverable:
        return age(known, now) > times.positive_expire;
    case AddressState::deferred:
    case AddressState::undeliverable:
        return age(known, now) > times.negative_expire;
    case AddressState::pending:
        break;
    }
    return now - known.probed > probe_patience;
}

bool wants_probe(const KnownAddress& known, std::int64_t now, const VerifyTimes& times)
{
    const bool under_way = known.probed > 0 && known.probed <= now && now - known.probed <= probe_patience;
    if (under_way)
        return false;
    const bool positive = known.state == AddressState::deliverable;
    return known.state == AddressState::pending ||
           age(known, now) > (positive ? times.positive_refresh : times.negative_refresh) ||
           is_expired(known, now, times);
}

ipc::AddressVerdict verdict_on(const KnownAddress& known, std::int64_t now, const VerifyTimes& times)
{
    if (known.state == AddressState::pending || is_expired(known, now, times))
        return {AddressState::pending, "Address verification in progress", {}};
    const std::string_view text = known.text;
    const auto blank = text.find(' ');
    if (blank == text.npos || !is_status_code(text.substr(0, blank)))
        return {known.state, known.text, {}};
    return {known.state, std::string(text.substr(blank + 1)), std::string(text.substr(0, blank))};
}

KnownAddress with_result(KnownAddress known, const ipc::AddressVerdict& result, std::int64_t now,
                         const VerifyTimes& times)
{
    const bool was_good = known.state == AddressState::deliverable && !is_expired(known, now, times);
    if (result.state == AddressState::pending || (was_good && result.state != AddressState::deliverable))
        return known;
    known.state = result.state;
    known.probed = 0;
    known.updated = now;
    const std::string text = result.dsn.empty() ? result.text : result.dsn + " " + result.text;
    known.text = printable(std::string_view(text).substr(0, text_limit), true);
    return known;
}

} // namespace bulkhead
