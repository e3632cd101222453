// The words of TLS settings in main.cf and policy tables as values: protocol lists, cipher
// grades, security levels, a destination's policy.  Pure text; knows no OpenSSL.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::tls
{

// Versions as the protocol numbers them (RFC 8446, 4.2.1); 0: no bound.
constexpr std::uint16_t version_1_0 = 0x0301;
constexpr std::uint16_t version_1_2 = 0x0303;
constexpr std::uint16_t version_1_3 = 0x0304;

struct Protocols {
    std::uint16_t lowest = 0;
    std::uint16_t highest = 0;
    std::vector<std::uint16_t> excluded; // inside the bounds

    bool allows(std::uint16_t version) const;
    bool operator==(const Protocols&) const = default;
};

// smtpd_tls_protocols and its like: ">=TLSv1.2", "<=TLSv1.3", "!SSLv3", or the bare names of
// those that are wanted; numbers (0x0303) are taken too.  SSLv2 is a name of nothing.
// Fault::config: unknown name, or nothing is left.
Result<Protocols> parse_protocols(std::string_view text);

// What the grades stand for (tls_high_cipherlist, ...).  low and export are medium.
struct CipherLists {
    std::string high;
    std::string medium;
    std::string null;
};

// The library's cipher list of a grade without the excluded ones.  Fault::config: unknown
// grade, or bytes that no cipher name has.
Result<std::string> cipher_list(const CipherLists& lists, std::string_view grade,
                                const std::vector<std::string>& excluded);

enum class Level { none, may, encrypt, fingerprint, dane, dane_only, verify, secure };

std::optional<Level> parse_level(std::string_view name); // as written in main.cf, any case
std::string_view level_name(Level level);

// The session must be encrypted, else the mail waits.  dane turns into may where the
// destination publishes nothing.
constexpr bool is_mandatory(Level level)
{
    return level != Level::none && level != Level::may;
}
// The peer must have the right certificate.
constexpr bool is_verified(Level level)
{
    return level >= Level::fingerprint;
}

// What smtp_tls_policy_maps says of a destination: a level and attributes that stand above
// the parameters of the same meaning.
struct Policy {
    Level level = Level::none;
    std::vector<std::string> matches; // empty: the level's own
    std::optional<std::string> protocols;
    std::optional<std::string> ciphers;
    std::optional<std::vector<std::string>> excluded;
    std::optional<std::string> server_name;
    std::vector<std::string> trust_anchor_files;
    std::optional<bool> keeps_connections;
    bool operator==(const Policy&) const = default;
};

// "secure match=example.com:.example.com ciphers=high".  Fault::config.
Result<Policy> parse_policy(std::string_view text);

// Names or fingerprints between ':' (names only), '|', ',' and blanks; fingerprints contain
// colons, so they are split at the others alone.
std::vector<std::string> parse_matches(std::string_view text, bool fingerprints);

// An element of a match list against one name of a certificate: exact, ".parent" for all
// below it; a wildcard of the certificate covers one label (RFC 6125, 6.4.3).
bool name_matches(std::string_view wanted, std::string_view in_certificate);

// "AB:CD" and "abcd" are the same fingerprint.
bool same_fingerprint(std::string_view a, std::string_view b);

} // namespace bulkhead::tls
