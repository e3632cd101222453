// What a server's answer, or the lack of one, means for a recipient: the exact
// words and status codes of compat/log-format.md, section 3.  Pure.
#pragma once

#include "async/address.h"
#include "base/result.h"
#include "smtp/reply.h"
#include "worker/delivery_agent.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace bulkhead
{

// The server that is spoken to.
struct Peer {
    Peer(std::string host, const SocketAddress& at) : name(std::move(host)), address(at) {}
    static Peer at_socket(std::string host, std::string path);

    std::string name;
    SocketAddress address; // means nothing where there is a path
    std::string path;      // of a UNIX socket; empty for all others

    bool is_same_server(const Peer& other) const { return address == other.address && path == other.path; }
    std::string label() const; // host[addr], host[path]
    std::string relay() const; // host[addr]:port, host[path]
};

// "host X said: ... (in reply to RCPT TO command)": 5xx bounces, everything else
// defers.
DeliveryStatus refused_command(const Peer& peer, const PeerReply& reply, std::string_view command);

// A greeting or HELO that was no.
DeliveryStatus refused_session(const Peer& peer, const PeerReply& reply);

// 250: the server has it.
DeliveryStatus accepted(const Peer& peer, const PeerReply& reply);

// The conversation broke while we were `doing` ("sending RCPT TO").
DeliveryStatus broken_conversation(const Peer& peer, const Error& error, std::string_view doing);

// connect to X[a]:25: Connection refused
std::string connect_failure_text(const Peer& peer, const Error& error);
DeliveryStatus connect_failed(const Peer& peer, const Error& error);

DeliveryStatus message_too_large(const Peer& peer, std::int64_t size, std::uint64_t limit);
DeliveryStatus tls_not_offered(const Peer& peer);
DeliveryStatus tls_refused(const Peer& peer, const PeerReply& reply);
DeliveryStatus tls_handshake_failed(const Peer& peer);
// Logging in: the server offers nothing that may be used, has said no (final unless soft), or
// does not do what the mechanism demands.
DeliveryStatus no_mechanism(const Peer& peer);
DeliveryStatus login_refused(const Peer& peer, const PeerReply& reply, bool soft);
// The same from memory, without asking again.
DeliveryStatus login_known_to_fail(const Peer& peer, const PeerReply& reply, bool soft);
DeliveryStatus cannot_log_in(const Peer& peer, std::string_view reason);
DeliveryStatus smtputf8_not_offered(const Peer& peer);
DeliveryStatus mail_loop(std::string_view next_hop);

} // namespace bulkhead
