#include "outcome.h"

#include <fmt/format.h>

namespace bulkhead
{

using ipc::DeliveryOutcome;

namespace
{

DeliveryStatus with_peer(DeliveryStatus status, const Peer& peer)
{
    status.relay = peer.relay();
    return status;
}

// The reply's own code, if its class is right; else X.0.0.
std::string dsn_of(const PeerReply& reply)
{
    const char digit = reply.permanent() ? '5' : reply.positive() && reply.code < 300 ? '2' : '4';
    return !reply.dsn.empty() && reply.dsn.front() == digit ? reply.dsn : fmt::format("{}.0.0", digit);
}

DeliveryStatus from_reply(const Peer& peer, const PeerReply& reply, std::string text)
{
    DeliveryStatus status(reply.permanent() ? DeliveryOutcome::bounced : DeliveryOutcome::deferred,
                          dsn_of(reply), std::move(text));
    if (!reply.permanent())
        status.dsn[0] = '4';
    status.diagnostic_type = "smtp";
    status.diagnostic_text = reply.text;
    status.remote_mta = peer.name;
    return with_peer(std::move(status), peer);
}

} // namespace

Peer Peer::at_socket(std::string host, std::string path)
{
    Peer peer(std::move(host), *SocketAddress::parse("0.0.0.0"));
    peer.path = std::move(path);
    return peer;
}

std::string Peer::label() const
{
    return fmt::format("{}[{}]", name, path.empty() ? address.text() : path);
}
std::string Peer::relay() const
{
    if (!path.empty())
        return label();
    return fmt::format("{}:{}", label(), address.port());
}

DeliveryStatus refused_command(const Peer& peer, const PeerReply& reply, std::string_view command)
{
    return from_reply(
        peer, reply,
        fmt::format("host {} said: {} (in reply to {} command)", peer.label(), reply.text, command));
}

DeliveryStatus refused_session(const Peer& peer, const PeerReply& reply)
{
    return from_reply(peer, reply,
                      fmt::format("host {} refused to talk to me: {}", peer.label(), reply.text));
}

DeliveryStatus accepted(const Peer& peer, const PeerReply& reply)
{
    DeliveryStatus status(DeliveryOutcome::sent, dsn_of(reply), reply.text);
    status.diagnostic_type = "smtp";
    status.diagnostic_text = reply.text;
    status.remote_mta = peer.name;
    return with_peer(std::move(status), peer);
}

DeliveryStatus broken_conversation(const Peer& peer, const Error& error, std::string_view doing)
{
    const std::string label = peer.label();
    switch (error.fault) {
    case Fault::timeout: {
        DeliveryStatus status(DeliveryOutcome::deferred, "4.4.2",
                              fmt::format("conversation with {} timed out while {}", label, doing));
        return with_peer(std::move(status), peer);
    }
    case Fault::malformed:
    case Fault::limit: {
        DeliveryStatus status(
            DeliveryOutcome::deferred, "4.5.0",
            fmt::format("host {} broke the protocol while {}: {}", label, doing, error.context));
        return with_peer(std::move(status), peer);
    }
    default: {
        DeliveryStatus status(DeliveryOutcome::deferred, "4.4.2",
                              fmt::format("lost connection with {} while {}", label, doing));
        return with_peer(std::move(status), peer);
    }
    }
}

std::string connect_failure_text(const Peer& peer, const Error& error)
{
    return fmt::format("connect to {}: {}", peer.relay(), error.context);
}

// The log says relay=none: nobody was spoken to.
DeliveryStatus connect_failed(const Peer& peer, const Error& error)
{
    return {DeliveryOutcome::deferred, "4.4.1", connect_failure_text(peer, error)};
}

DeliveryStatus message_too_large(const Peer& peer, std::int64_t size, std::uint64_t limit)
{
    DeliveryStatus status(
        DeliveryOutcome::bounced, "5.3.4",
        fmt::format("message size {} exceeds size limit {} of server {}", size, limit, peer.label()));
    return with_peer(std::move(status), peer);
}

DeliveryStatus tls_not_offered(const Peer& peer)
{
    DeliveryStatus status(DeliveryOutcome::deferred, "4.7.4",
                          fmt::format("TLS is required, but was not offered by host {}", peer.label()));
    return with_peer(std::move(status), peer);
}

DeliveryStatus tls_refused(const Peer& peer, const PeerReply& reply)
{
    DeliveryStatus status = from_reply(
        peer, reply,
        fmt::format("TLS is required, but host {} refused to start TLS: {}", peer.label(), reply.text));
    status.outcome = DeliveryOutcome::deferred; // it may be able to tomorrow
    status.dsn = "4.7.4";
    return status;
}

DeliveryStatus tls_handshake_failed(const Peer& peer)
{
    DeliveryStatus status(DeliveryOutcome::deferred, "4.7.5", "Cannot start TLS: handshake failure");
    return with_peer(std::move(status), peer);
}

DeliveryStatus no_mechanism(const Peer& peer)
{
    return cannot_log_in(peer, "no mechanism available");
}

DeliveryStatus login_refused(const Peer& peer, const PeerReply& reply, bool soft)
{
    DeliveryStatus status = from_reply(
        peer, reply, fmt::format("SASL authentication failed; server {} said: {}", peer.label(), reply.text));
    if (soft) { // the password may be mended while the mail waits
        status.outcome = DeliveryOutcome::deferred;
        status.dsn[0] = '4';
    }
    return status;
}

DeliveryStatus login_known_to_fail(const Peer& peer, const PeerReply& reply, bool soft)
{
    DeliveryStatus status = login_refused(peer, reply, soft);
    status.reason =
        fmt::format("SASL [CACHED] authentication failed; server {} said: {}", peer.label(), reply.text);
    return status;
}

DeliveryStatus cannot_log_in(const Peer& peer, std::string_view reason)
{
    DeliveryStatus status(DeliveryOutcome::deferred, "4.7.0",
                          fmt::format("SASL authentication failed; cannot authenticate to server {}: {}",
                                      peer.label(), reason));
    return with_peer(std::move(status), peer);
}

DeliveryStatus smtputf8_not_offered(const Peer& peer)
{
    DeliveryStatus status(DeliveryOutcome::bounced, "5.6.7",
                          fmt::format("SMTPUTF8 is required, but was not offered by host {}", peer.label()));
    return with_peer(std::move(status), peer);
}

DeliveryStatus mail_loop(std::string_view next_hop)
{
    return {DeliveryOutcome::bounced, "5.4.6", fmt::format("mail for {} loops back to myself", next_hop)};
}

} // namespace bulkhead
