// XCLIENT and XFORWARD: "NAME=value ..." with values in xtext.  XCLIENT replaces what the
// server believes of the client; XFORWARD says what a log line and the next hop shall tell of
// the client that a filter got the mail from.  Text to values: who may use them, and when, is
// the session's business.
#pragma once

#include "peer.h"

#include "smtp/command.h"

#include <optional>
#include <string>
#include <string_view>

namespace bulkhead
{

// What EHLO names behind each command.
inline constexpr std::string_view xclient_attributes =
    "NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR DESTPORT";
inline constexpr std::string_view xforward_attributes = "NAME ADDR PROTO HELO SOURCE PORT IDENT";

// The client as XCLIENT has it; what was not told is as before.
struct ClaimedClient {
    Peer peer;
    std::optional<std::string> helo;  // empty: none
    std::optional<bool> extended;     // PROTO
    std::optional<std::string> login; // empty: none
};
Answer<ClaimedClient> parse_xclient(std::string_view arguments, const Peer& before);

// The client that XFORWARD tells of; empty: not told, or not known.
struct Forwarded {
    std::string name;
    std::string address;
    std::string port;
    std::string protocol;
    std::string helo;
    std::string ident;  // the queue id at the sender
    bool local = false; // SOURCE=LOCAL
    bool told = false;

    std::string label() const { return address.empty() ? name : name + '[' + address + ']'; }
};
Answer<Forwarded> parse_xforward(std::string_view arguments, const Forwarded& before);

// A HELO name becomes part of headers and log lines: what has a meaning there goes.
std::string without_specials(std::string name);

} // namespace bulkhead
