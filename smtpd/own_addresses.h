// The network addresses of this mail system, for permit_inet_interfaces.
#pragma once

#include <string>
#include <vector>

namespace bulkhead
{

// The addresses that inet_interfaces names, printable.  May ask the resolver: call
// it before the jail.  A name without an address is left out.
std::vector<std::string> own_addresses(const std::vector<std::string>& inet_interfaces);

} // namespace bulkhead
