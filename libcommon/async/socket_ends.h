// Who is at the two ends of a connection.  An IPv4 address that a socket of IPv6 shows is that IPv4
// address.
#pragma once

#include "async/address.h"

namespace bulkhead
{

// nullopt: not a connection of IP, or no longer one.
std::optional<SocketAddress> peer_end(int fd);
std::optional<SocketAddress> own_end(int fd);

} // namespace bulkhead
