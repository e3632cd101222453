// What the TLS conversations of a worker share: certificates, what is allowed, caches.
// Made before the jail.  The headers of this folder know no type of OpenSSL.
#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "tls/connection.h"
#include "tls/files.h"
#include "tls/params.h"
#include "tls/settings.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::tls
{

// Loads tls_config_file into the library; before anything else, once.
Result<> start_library(const CommonParams& params);

struct ServerOptions {
    std::vector<KeyChain> certificates;
    std::string authorities;      // PEM: who may vouch for clients
    bool ask_certificate = false; // of the client
    int verify_depth = 9;
    Protocols protocols;
    std::string ciphers; // the library's list
    std::string fingerprint_digest = "sha256";
    std::string service;     // tickets and sessions of other services are not taken
    Seconds session_time{0}; // how long a session may be resumed; 0: never
    std::string ticket_file; // empty: the keys stay in this process

    // Sessions of clients without tickets, by the session's id, in the library's own form.  Both are
    // called from within a handshake, which cannot wait; they must not use the connection.
    std::function<std::string(std::string_view id)> find_session; // empty answer: none
    std::function<void(std::string_view id, std::string session)> on_session;

    // Keys and chain in PEM of a server name, in lower case; nullopt: the default ones.
    std::function<std::optional<std::string>(std::string_view name)> find_server_name;
};

class ServerContext
{
public:
    static Result<std::unique_ptr<ServerContext>> open(const CommonParams& params, ServerOptions options);
    ~ServerContext();

    // fd stays the stream's.
    std::unique_ptr<Connection> accept(int fd);

    struct State;

private:
    explicit ServerContext(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

struct ClientOptions {
    std::vector<KeyChain> certificates;
    std::string authorities; // PEM; parsed by load_authorities()
    std::string fingerprint_digest = "sha256";
    Seconds session_time{0};
    // Told of each session that may be resumed, in the library's own form.  Called from within a
    // conversation: it must not use the connection.
    std::function<void(const std::string& key, std::string session)> on_session;
};

// SHA-256 in hexadecimal digits, for keys of tables.
std::string digest(std::string_view text);

// A TLSA record (RFC 6698).
struct TlsaRecord {
    std::uint8_t usage = 0;
    std::uint8_t selector = 0;
    std::uint8_t matching = 0;
    std::string data;
    bool operator==(const TlsaRecord&) const = default;
};

struct ClientCall {
    Protocols protocols;
    std::string ciphers;
    int verify_depth = 9;
    std::string server_name;             // SNI; empty: none is sent
    std::string trust_anchors;           // PEM that stands instead of the authorities
    std::vector<TlsaRecord> tlsa;        // DANE decides when there are any
    std::vector<std::string> dane_names; // the TLSA base domain, then others for usage 2
    std::string session_key;             // sessions of equal keys may be resumed; empty: none
};

class ClientContext
{
public:
    static Result<std::unique_ptr<ClientContext>> open(const CommonParams& params, ClientOptions options);
    ~ClientContext();

    // Parses the authorities, once; takes up to 0.1 s: to be offloaded.  Until then nobody's
    // certificate is trusted.
    void load_authorities();

    // Usages 2 and 3, with known selectors, and digests of tls_dane_digests: the others are of no use
    // to mail (RFC 7672, 3.1.3).
    bool is_usable(const TlsaRecord& record) const;

    // Sessions by ClientCall::session_key; what cannot be read is no session.
    bool has_session(const std::string& key);
    void offer_session(const std::string& key, std::string_view session);

    // Fault::config: the call asks for what the library cannot do.
    Result<std::unique_ptr<Connection>> connect(int fd, const ClientCall& call);

    struct State;

private:
    explicit ClientContext(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

} // namespace bulkhead::tls
