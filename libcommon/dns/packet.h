// Answers of the DNS in wire format (RFC 1035, section 4) as typed records.
// Pure: bytes in, values out; nothing in a packet is trusted.
#pragma once

#include "async/address.h"
#include "base/result.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::dns
{

enum class Type : std::uint16_t {
    a = 1,
    ns = 2,
    ptr = 12,
    mx = 15,
    txt = 16,
    aaaa = 28,
    srv = 33,
    tlsa = 52
};

std::string_view type_name(Type type); // "A", "NS", "PTR", "MX", ...

// Records kept of one answer: more than any honest domain has.
constexpr std::size_t record_limit = 100;

struct MxRecord {
    MxRecord(std::uint16_t p, std::string h) : preference(p), host(std::move(h)) {}

    std::uint16_t preference;
    std::string host; // no trailing dot; empty for the root, which says "no mail here" (RFC 7505)
    bool operator==(const MxRecord&) const = default;
};

// Where a service of a domain is (RFC 2782).
struct SrvRecord {
    SrvRecord(std::uint16_t p, std::uint16_t w, std::uint16_t n, std::string h)
        : priority(p), weight(w), port(n), host(std::move(h))
    {
    }

    std::uint16_t priority;
    std::uint16_t weight;
    std::uint16_t port;
    std::string host; // no trailing dot; empty for the root, which says "no such service here"
    bool operator==(const SrvRecord&) const = default;
};

// What a server's certificate must be (RFC 6698, 2.1).
struct TlsaRecord {
    TlsaRecord(std::uint8_t u, std::uint8_t s, std::uint8_t m, std::string d)
        : usage(u), selector(s), matching(m), data(std::move(d))
    {
    }

    std::uint8_t usage;
    std::uint8_t selector;
    std::uint8_t matching;
    std::string data;
    bool operator==(const TlsaRecord&) const = default;
};

// A host that a record points to: of PTR and NS.
struct HostRecord {
    explicit HostRecord(std::string n) : name(std::move(n)) {}

    std::string name; // no trailing dot; not empty
    bool operator==(const HostRecord&) const = default;
};

// The strings of a TXT record, joined (RFC 1035, 3.3.14): any bytes.
struct TextRecord {
    explicit TextRecord(std::string t) : text(std::move(t)) {}

    std::string text;
    bool operator==(const TextRecord&) const = default;
};

// The code of the header (RFC 1035, 4.1.1): 0 no error, 3 no such name; 2, a server's
// failure, for what is no packet.
int response_code(std::string_view packet);

// Seconds that the answer counts: the shortest time of its records; of an answer without any,
// what the zone says of names that are not there (RFC 2308, 5).  0: it does not say.
std::uint32_t time_to_live(std::string_view packet);

// The records of the wanted type in the answer section, in the order in which they
// stand there; aliases (CNAME) in front of them are passed over.  A host name with
// bytes that no host name has (RFC 1123 letters, digits, '-', and '_') is left out.
// Fault::malformed.
Result<std::vector<MxRecord>> parse_mx(std::string_view packet);
Result<std::vector<SocketAddress>> parse_addresses(std::string_view packet, Type type);
Result<std::vector<TlsaRecord>> parse_tlsa(std::string_view packet);
Result<std::vector<SrvRecord>> parse_srv(std::string_view packet);
Result<std::vector<HostRecord>> parse_hosts(std::string_view packet, Type type); // PTR, NS
Result<std::vector<TextRecord>> parse_txt(std::string_view packet);

// Whose records of this type they are: behind an alias another name than was asked for.  Empty:
// there are none, or the name is no host's.
std::string owner_of(std::string_view packet, Type type);

} // namespace bulkhead::dns
