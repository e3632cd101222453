// The server name in the first message of a TLS client (RFC 8446, 4.1.2; RFC 6066, 3), read
// while it still lies in the socket: whoever is chosen by it makes the handshake.
#pragma once

#include "base/result.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead
{

// More of a client's first message is not waited for.
constexpr std::size_t client_hello_limit = 16 * 1024;

// bytes: what has arrived.  nullopt: there must be more of it.  Empty: the client names no
// server, or none that could be one.  In lower case.  Fault::malformed: this is no TLS client.
Result<std::optional<std::string>> server_name_in(std::string_view bytes);

} // namespace bulkhead
