// Defaults that depend on the machine: its name and its networks.
#pragma once

#include <string>
#include <string_view>

namespace bulkhead
{

// gethostname(); "localhost" when the system does not say.
std::string system_host_name();

// The default of mynetworks for a mynetworks_style (host, subnet, class): the networks of
// the interfaces that are up, "a.b.c.d/n" and "[v6]/n", blanks between.
std::string interface_networks(std::string_view style, bool ipv4, bool ipv6);

} // namespace bulkhead
