// Netstrings: "5:hello,".  The framing of the socketmap protocol and of our own
// conversation with proxymap.  Pure text.
#pragma once

#include "base/result.h"

#include <optional>
#include <string>
#include <string_view>

namespace bulkhead
{

void append_netstring(std::string& out, std::string_view text);

struct Netstring {
    std::string_view text;   // points into what was parsed
    std::size_t encoded = 0; // bytes of the whole, with length and comma
};

// The netstring at the front; nullopt: its end has not come yet.  Fault::malformed, or
// Fault::limit for a text longer than `limit`.
Result<std::optional<Netstring>> parse_netstring(std::string_view bytes, std::size_t limit);

} // namespace bulkhead
