#include "tls/context.h"

#include "base/text.h"
#include "log/log.h"
#include "tls/connection_state.h"
#include "tls/setup.h"
#include "tls/tickets.h"

#include <openssl/core_names.h>
#include <openssl/rand.h>

#include <map>

#include <fmt/format.h>

namespace bulkhead::tls
{

namespace
{

constexpr long session_cache_size = 2000;       // of clients that do without tickets
constexpr std::size_t server_name_limit = 1000; // contexts of other names
constexpr std::size_t host_name_limit = 255;

} // namespace

struct ServerContext::State {
    State(const CommonParams& p, ServerOptions o)
        : params(p), options(std::move(o)),
          tickets(options.ticket_file, options.service, options.session_time)
    {
    }

    Result<SslContextPointer> make(const std::vector<KeyChain>& keys) const;
    SSL_CTX* context_of(const std::string& name);

    const CommonParams& params;
    ServerOptions options;
    TicketKeys tickets;
    SslContextPointer context;
    std::map<std::string, SslContextPointer> by_name; // null: that name's keys are of no use
};

namespace
{

// The client's certificate is looked at after the handshake, by those who want one.
int accept_any(int, X509_STORE_CTX*)
{
    return 1;
}

std::int64_t seconds_now()
{
    return WallTime::now().seconds;
}

// Puts cipher and MAC keys in place (see SSL_CTX_set_tlsext_ticket_key_evp_cb(3)).
bool apply(const TicketKey& key, const EVP_CIPHER* cipher, const unsigned char* vector,
           EVP_CIPHER_CTX* cipher_context, EVP_MAC_CTX* mac_context, bool sealing)
{
    char digest[] = "sha256";
    const OSSL_PARAM mac_params[] = {
        ::OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, const_cast<unsigned char*>(key.mac.data()),
                                            key.mac.size()),
        ::OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        ::OSSL_PARAM_construct_end(),
    };
    return ::EVP_MAC_CTX_set_params(mac_context, mac_params) == 1 &&
           ::EVP_CipherInit_ex(cipher_context, cipher, nullptr, key.cipher.data(), vector, sealing ? 1 : 0) ==
               1;
}

int ticket_callback(SSL* ssl, unsigned char* name, unsigned char* vector, EVP_CIPHER_CTX* cipher_context,
                    EVP_MAC_CTX* mac_context, int sealing)
{
    auto* const self = static_cast<ServerContext::State*>(state_of(ssl)->owner);
    const EVP_CIPHER* const cipher = ::EVP_get_cipherbyname(self->params.ticket_cipher().c_str());
    if (!cipher || ::EVP_CIPHER_get_key_length(cipher) > 32)
        return 0;
    const std::int64_t now = seconds_now();
    if (sealing) {
        const TicketKey* const key = self->tickets.current(now);
        if (!key || ::RAND_bytes(vector, ::EVP_CIPHER_get_iv_length(cipher)) != 1 ||
            !apply(*key, cipher, vector, cipher_context, mac_context, true))
            return 0;
        std::copy(key->name.begin(), key->name.end(), name);
        return 1;
    }
    const TicketKey* const key = self->tickets.find(name, now);
    if (!key || !apply(*key, cipher, vector, cipher_context, mac_context, false))
        return 0;
    // TLS 1.3 clients get a new ticket anyway; others when the key is about to be forgotten.
    const TicketKey* const newest = self->tickets.current(now);
    return newest && newest->name != key->name ? 2 : 1;
}

std::string_view id_of(const unsigned char* bytes, std::size_t size)
{
    return {reinterpret_cast<const char*>(bytes), size};
}

// With TLS 1.3 the client has it all in its ticket.
int new_session_callback(SSL* ssl, SSL_SESSION* session)
{
    unsigned size = 0;
    const unsigned char* const id = ::SSL_SESSION_get_id(session, &size);
    if (size > 0 && ::SSL_version(ssl) < TLS1_3_VERSION)
        static_cast<ServerContext::State*>(state_of(ssl)->owner)
            ->options.on_session(id_of(id, size), session_bytes(session));
    return 0; // the reference stays the library's
}

// Whose service a session is, and when it ends, the library looks at afterwards.
SSL_SESSION* get_session_callback(SSL* ssl, const unsigned char* id, int size, int* copy)
{
    *copy = 0; // the reference becomes the library's
    auto* const self = static_cast<ServerContext::State*>(state_of(ssl)->owner);
    const std::string found = self->options.find_session(id_of(id, static_cast<std::size_t>(size)));
    return session_from(found).release();
}

int server_name_callback(SSL* ssl, int*, void* argument)
{
    const char* const asked = ::SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (!asked || std::string_view(asked).size() > host_name_limit)
        return SSL_TLSEXT_ERR_OK;
    auto* const self = static_cast<ServerContext::State*>(argument);
    const std::string name = lower(asked);
    if (SSL_CTX* const context = self->context_of(name)) {
        ::SSL_set_SSL_CTX(ssl, context);
        state_of(ssl)->server_name = name;
    }
    return SSL_TLSEXT_ERR_OK;
}

} // namespace

Result<SslContextPointer> ServerContext::State::make(const std::vector<KeyChain>& keys) const
{
    TRY(SslContextPointer made, make_context(::TLS_server_method(), params));
    SSL_CTX* const raw = made.get();
    limit_protocols(raw, options.protocols);
    if (::SSL_CTX_set_cipher_list(raw, options.ciphers.c_str()) != 1)
        return library_error("cipher list");
    for (const KeyChain& chain : keys)
        TRY_VOID(use_keys(raw, chain));
    if (options.ask_certificate) {
        ::SSL_CTX_set_verify(raw, SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE, accept_any);
        ::SSL_CTX_set_verify_depth(raw, options.verify_depth);
        X509_STORE* const store = ::SSL_CTX_get_cert_store(raw);
        add_authorities(store, options.authorities);
    }
    const std::string bound_to = options.service.substr(0, SSL_MAX_SSL_SESSION_ID_LENGTH);
    ::SSL_CTX_set_session_id_context(raw, reinterpret_cast<const unsigned char*>(bound_to.data()),
                                     static_cast<unsigned>(bound_to.size()));
    const bool resumable = options.session_time.count() > 0;
    ::SSL_CTX_set_session_cache_mode(raw, resumable ? SSL_SESS_CACHE_SERVER : SSL_SESS_CACHE_OFF);
    if (!resumable) {
        ::SSL_CTX_set_options(raw, SSL_OP_NO_TICKET);
        ::SSL_CTX_set_num_tickets(raw, 0);
        return made;
    }
    ::SSL_CTX_sess_set_cache_size(raw, session_cache_size);
    if (options.on_session)
        ::SSL_CTX_sess_set_new_cb(raw, new_session_callback);
    if (options.find_session)
        ::SSL_CTX_sess_set_get_cb(raw, get_session_callback);
    ::SSL_CTX_set_timeout(raw, static_cast<long>(options.session_time.count()));
    ::SSL_CTX_set_num_tickets(raw, 1);
    ::SSL_CTX_set_tlsext_ticket_key_evp_cb(raw, ticket_callback);
    return made;
}

// The context of a server name; null: the default one serves it.
SSL_CTX* ServerContext::State::context_of(const std::string& name)
{
    if (const auto known = by_name.find(name); known != by_name.end())
        return known->second.get();
    const auto keys = options.find_server_name(name);
    if (!keys || by_name.size() >= server_name_limit)
        return nullptr;
    std::vector<KeyChain> chain(1);
    chain[0].label = "tls_server_sni_maps: " + printable(name);
    chain[0].keys = *keys;
    auto made = make(chain);
    if (!made)
        log::warn(made.error().context);
    return by_name.emplace(name, made ? *std::move(made) : nullptr).first->second.get();
}

ServerContext::ServerContext(std::unique_ptr<State> state) : state_(std::move(state)) {}
ServerContext::~ServerContext() = default;

Result<std::unique_ptr<ServerContext>> ServerContext::open(const CommonParams& params, ServerOptions options)
{
    TRY_VOID(start_library(params));
    if (!::EVP_get_digestbyname(options.fingerprint_digest.c_str()))
        return Error(Fault::config, fmt::format("unknown digest \"{}\"", options.fingerprint_digest));
    auto state = std::make_unique<State>(params, std::move(options));
    TRY(state->context, state->make(state->options.certificates));
    state->options.certificates.clear(); // the library has them now
    if (state->options.find_server_name) {
        ::SSL_CTX_set_tlsext_servername_callback(state->context.get(), server_name_callback);
        ::SSL_CTX_set_tlsext_servername_arg(state->context.get(), state.get());
    }
    return std::unique_ptr<ServerContext>(new ServerContext(std::move(state)));
}

std::unique_ptr<Connection> ServerContext::accept(int fd)
{
    auto state = std::make_unique<Connection::State>();
    state->ssl.reset(::SSL_new(state_->context.get()));
    ensure(state->ssl != nullptr && ::SSL_set_fd(state->ssl.get(), fd) == 1, "no TLS conversation");
    state->fingerprint_digest = &state_->options.fingerprint_digest;
    state->owner = state_.get();
    ::SSL_set_accept_state(state->ssl.get());
    return std::make_unique<Connection>(std::move(state));
}

} // namespace bulkhead::tls
