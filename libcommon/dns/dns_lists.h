// DNS block and allow lists (reject_rbl_client and its like, RFC 5782): "bl.example" or
// "bl.example=127.0.0.[2..11]", the name to ask for a client or a domain, and whether an
// answer counts.  Pure.
#pragma once

#include "async/address.h"
#include "base/result.h"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bulkhead
{

class DnsList
{
public:
    // Fault::config with the reason.
    static Result<DnsList> parse(std::string_view text);

    const std::string& domain() const { return domain_; }

    // An address that the list answered means "listed".
    bool counts(const SocketAddress& answer) const;

private:
    using Range = std::pair<std::uint8_t, std::uint8_t>; // both included

    std::string domain_;
    bool filters_ = false;
    std::array<std::vector<Range>, 4> octets_; // of the filter
};

// "2.0.0.127" for 127.0.0.2, nibbles for IPv6 (RFC 5782, 2.1 and 2.4); also the front of a
// name under in-addr.arpa and ip6.arpa.
std::string reversed_address(const SocketAddress& address);

// What a list says of somebody.
enum class DnsListing { unlisted, listed, unknown };

} // namespace bulkhead
