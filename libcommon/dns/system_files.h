// The files that say how this machine finds hosts: resolv.conf(5), hosts(5) and
// the hosts line of nsswitch.conf(5).  Pure parsers; who calls them reads the
// files before the jail.  Lines that make no sense are passed over, as libc does.
#pragma once

#include "async/address.h"
#include "base/clock.h"

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::dns
{

struct ResolvConf {
    std::vector<SocketAddress> name_servers; // at most three; the local host if none is named
    std::vector<std::string> search;         // domains that complete a short name; the last line counts
    Milliseconds timeout{5000};              // options timeout:n
    int attempts = 2;                        // options attempts:n
};
ResolvConf parse_resolv_conf(std::string_view text);

// Names of the local machine's own list, any case.
class HostsFile
{
public:
    static constexpr std::size_t name_limit = 100'000;

    HostsFile() = default;
    explicit HostsFile(std::string_view text);

    // In the order of the file; empty: not in it.  "localhost" is always known
    // (RFC 6761, 6.3).
    std::vector<SocketAddress> find(std::string_view name) const;

    // The first name of an address, in the file's letters; empty: not in it.  The two usual
    // loopback addresses are always "localhost".
    std::string name_of(const SocketAddress& address) const;

private:
    std::map<std::string, std::vector<SocketAddress>, std::less<>> addresses_;
    std::map<std::string, std::string, std::less<>> names_; // by printed address
};

// Whether the system's own lookup asks the DNS for what the hosts file lacks.
bool native_lookup_uses_dns(std::string_view nsswitch_conf);

} // namespace bulkhead::dns
