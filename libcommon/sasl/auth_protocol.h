// The lines of the Dovecot authentication protocol, version 1 (compat/feature-map.md, d),
// at both ends: smtpd asks, Dovecot's auth or our saslauth answers.  Fields are separated
// by tabs; one line, one message.  Pure; what does not parse is refused whole.
#pragma once

#include "base/result.h"
#include "sasl/mechanism.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead::sasl
{

inline constexpr std::size_t auth_line_limit = 32 * 1024; // bytes of one line
inline constexpr std::uint32_t auth_version = 1;          // major; minors are compatible

// What the server says.
struct AuthAnswer {
    enum class Kind {
        version,   // number: the major version
        mechanism, // mechanism; hidden ones are not offered to clients
        done,      // the greeting is over
        ok,        // id, user
        go_on,     // id, data: the challenge
        fail,      // id, user, reason, temporary
        other,     // of no interest (SPID, CUID, COOKIE, and what later versions add)
    };

    Kind kind = Kind::other;
    std::uint32_t number = 0;
    std::uint32_t id = 0;
    Mechanism mechanism;
    bool hidden = false;
    std::string data; // decoded
    std::string user;
    std::string reason;
    bool temporary = false;
};
Result<AuthAnswer> parse_auth_answer(std::string_view line);

// What the client says.
struct AuthRequest {
    enum class Kind {
        version, // number: the major version
        process, // CPID
        begin,   // id, mechanism, data if there is an initial response, and all below
        go_on,   // id, data: the response
        cancel,  // id
        other,
    };

    Kind kind = Kind::other;
    std::uint32_t number = 0;
    std::uint32_t id = 0;
    std::string mechanism;
    std::optional<std::string> data; // decoded
    std::string service;
    std::string local_address;
    std::string remote_address;
    std::uint16_t local_port = 0;
    std::uint16_t remote_port = 0;
    bool secured = false;                  // inside TLS
    bool valid_client_certificate = false; // TLS, and the client's certificate is trusted
};
Result<AuthRequest> parse_auth_request(std::string_view line);

// With the line end.  Bytes with a meaning in the protocol are escaped.
std::string auth_line(const AuthRequest& request);
std::string auth_line(const AuthAnswer& answer);

} // namespace bulkhead::sasl
