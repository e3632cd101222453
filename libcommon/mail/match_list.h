// What address lists such as mynetworks and domain lists such as relay_domains
// compare: IP networks, and domains with their subdomains.  List elements that
// are tables live elsewhere.
#pragma once

#include "base/result.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

// An IPv4 or IPv6 address.  An IPv4-mapped IPv6 address is the IPv4 address.
class IpAddress
{
public:
    // "192.0.2.1", "2001:db8::1", "[2001:db8::1]", "IPv6:2001:db8::1".
    static std::optional<IpAddress> parse(std::string_view text);

    bool is_v6() const { return v6_; }
    std::string text() const;
    bool operator==(const IpAddress&) const = default;

private:
    friend class Network;
    std::array<std::uint8_t, 16> bytes_{}; // IPv4: the first four
    bool v6_ = false;
};

// A network of addresses: "10.0.0.0/8", "[fe80::]/10", or one host.
class Network
{
public:
    // Fault::malformed names the text; bits set behind the prefix are an error
    // that tells the network that was probably meant.
    static Result<Network> parse(std::string_view text);

    bool contains(const IpAddress& address) const;
    std::string text() const;

private:
    IpAddress base_;
    unsigned prefix_ = 0;
};

// Networks in the order of the list; "!" in front of one excludes it.  The first
// that contains the address decides.
class NetworkList
{
public:
    // Separated by commas and blanks.
    static Result<NetworkList> parse(std::string_view text);

    void add(const Network& network, bool exclude = false);
    // True: listed; false: excluded; nullopt: no element contains it.
    std::optional<bool> find(const IpAddress& address) const;
    bool contains(const IpAddress& address) const { return find(address).value_or(false); }
    bool empty() const { return entries_.empty(); }

private:
    struct Entry {
        Network network;
        bool exclude = false;
    };
    std::vector<Entry> entries_;
};

// "example.test" is that domain, and with subdomains also those below it;
// ".example.test" is only those below it.  Any case.
bool domain_matches(std::string_view pattern, std::string_view domain, bool subdomains);

// "a.b.c" -> ".b.c" -> ".c" -> "": the keys under which tables list parents.
std::string_view parent_domain(std::string_view domain);

} // namespace bulkhead
