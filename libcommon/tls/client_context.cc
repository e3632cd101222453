#include "tls/context.h"

#include "tls/connection_state.h"
#include "tls/setup.h"

#include "base/text.h"

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <set>

#include <fmt/format.h>

namespace bulkhead::tls
{

namespace
{

constexpr std::size_t session_limit = 512; // kept for resumption

} // namespace

struct ClientContext::State {
    explicit State(ClientOptions o) : options(std::move(o)) {}

    void keep(const std::string& key, SessionPointer session);
    SSL_SESSION* find(const std::string& key);

    ClientOptions options;
    SslContextPointer context;
    std::set<std::uint8_t> matching = {0}; // types of TLSA records: 0 is no digest
    std::once_flag authorities_once;
    StorePointer authorities;
    std::map<std::string, SessionPointer> sessions;
};

void ClientContext::State::keep(const std::string& key, SessionPointer session)
{
    if (sessions.size() >= session_limit && !sessions.contains(key))
        sessions.erase(sessions.begin());
    sessions[key] = std::move(session);
}

SSL_SESSION* ClientContext::State::find(const std::string& key)
{
    const auto known = sessions.find(key);
    if (known == sessions.end())
        return nullptr;
    const std::int64_t age = WallTime::now().seconds - ::SSL_SESSION_get_time(known->second.get());
    if (age < options.session_time.count() && ::SSL_SESSION_is_resumable(known->second.get()))
        return known->second.get();
    sessions.erase(known);
    return nullptr;
}

// A session that may be resumed; in TLS 1.3 it comes after the handshake, as a ticket.
static int new_session_callback(SSL* ssl, SSL_SESSION* session)
{
    Connection::State* const connection = state_of(ssl);
    if (!connection || connection->session_key.empty())
        return 0;
    auto* const client = static_cast<ClientContext::State*>(connection->owner);
    if (client->options.on_session)
        client->options.on_session(connection->session_key, session_bytes(session));
    client->keep(connection->session_key, SessionPointer(session));
    return 1; // the reference is ours
}

// The library knows sha256 and sha512 by itself; what is not listed is not used.
static Result<> allow_digests(SSL_CTX* context, const std::vector<std::string>& listed,
                              std::set<std::uint8_t>& matching)
{
    struct Registered {
        std::string_view name;
        std::uint8_t type;
    };
    constexpr std::array registered{Registered{"sha256", 1}, Registered{"sha512", 2}}; // RFC 6698, 7.4
    for (const Registered& one : registered)
        ::SSL_CTX_dane_mtype_set(context, nullptr, one.type, 0);
    auto rank = static_cast<std::uint8_t>(std::min<std::size_t>(listed.size(), 255));
    for (const std::string& item : listed) {
        const std::string name = item.substr(0, item.find('='));
        const auto known = std::ranges::find(registered, std::string_view(name), &Registered::name);
        const auto type = name.size() < item.size()   ? parse_unsigned(item.substr(name.size() + 1))
                          : known != registered.end() ? std::optional<std::uint64_t>(known->type)
                                                      : std::nullopt;
        const EVP_MD* const digest = ::EVP_get_digestbyname(name.c_str());
        if (!digest || !type || *type == 0 || *type > 255 || rank == 0)
            return Error(Fault::config, fmt::format("tls_dane_digests: unusable digest \"{}\"", item));
        if (::SSL_CTX_dane_mtype_set(context, digest, static_cast<std::uint8_t>(*type), rank--) <= 0)
            return library_error("tls_dane_digests: " + item);
        matching.insert(static_cast<std::uint8_t>(*type));
    }
    return {};
}

ClientContext::ClientContext(std::unique_ptr<State> state) : state_(std::move(state)) {}
ClientContext::~ClientContext() = default;

Result<std::unique_ptr<ClientContext>> ClientContext::open(const CommonParams& params, ClientOptions options)
{
    TRY_VOID(start_library(params));
    if (!::EVP_get_digestbyname(options.fingerprint_digest.c_str()))
        return Error(Fault::config, fmt::format("unknown digest \"{}\"", options.fingerprint_digest));
    auto state = std::make_unique<State>(std::move(options));
    TRY(state->context, make_context(::TLS_client_method(), params));
    SSL_CTX* const raw = state->context.get();
    for (const KeyChain& chain : state->options.certificates)
        TRY_VOID(use_keys(raw, chain));
    state->options.certificates.clear(); // the library has them now
    if (::SSL_CTX_dane_enable(raw) <= 0)
        return library_error("DANE");
    TRY_VOID(allow_digests(raw, params.dane_digests(), state->matching));
    ::SSL_CTX_set_verify(raw, SSL_VERIFY_NONE, nullptr); // the delivery judges
    if (state->options.session_time.count() > 0) {
        ::SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        ::SSL_CTX_sess_set_new_cb(raw, new_session_callback);
    }
    return std::unique_ptr<ClientContext>(new ClientContext(std::move(state)));
}

bool ClientContext::has_session(const std::string& key)
{
    return state_->find(key) != nullptr;
}

void ClientContext::offer_session(const std::string& key, std::string_view session)
{
    if (SessionPointer read = session_from(session))
        state_->keep(key, std::move(read));
}

std::string digest(std::string_view text)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    ensure(::EVP_Digest(text.data(), text.size(), hash, &size, ::EVP_sha256(), nullptr) == 1, "no SHA-256");
    std::string digits;
    for (unsigned i = 0; i < size; ++i)
        digits += fmt::format("{:02x}", hash[i]);
    return digits;
}

void ClientContext::load_authorities()
{
    std::call_once(state_->authorities_once, [this] {
        StorePointer store(::X509_STORE_new());
        add_authorities(store.get(), state_->options.authorities);
        std::string().swap(state_->options.authorities);
        state_->authorities = std::move(store);
    });
}

bool ClientContext::is_usable(const TlsaRecord& record) const
{
    return (record.usage == 2 || record.usage == 3) && record.selector <= 1 &&
           state_->matching.contains(record.matching) && !record.data.empty();
}

static Result<> expect_records(SSL* ssl, const ClientContext& context, const ClientCall& call)
{
    const std::string& base = call.dane_names.front();
    if (::SSL_dane_enable(ssl, base.c_str()) <= 0)
        return library_error("DANE");
    ::SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS); // RFC 7672, 3.1.1
    for (std::size_t i = 1; i < call.dane_names.size(); ++i)
        ::SSL_add1_host(ssl, call.dane_names[i].c_str());
    int usable = 0;
    for (const TlsaRecord& record : call.tlsa)
        if (context.is_usable(record))
            usable += ::SSL_dane_tlsa_add(ssl, record.usage, record.selector, record.matching,
                                          reinterpret_cast<const unsigned char*>(record.data.data()),
                                          record.data.size()) > 0
                          ? 1
                          : 0;
    ::ERR_clear_error();
    if (usable == 0)
        return Error(Fault::refused, "no usable TLSA record");
    return {};
}

Result<std::unique_ptr<Connection>> ClientContext::connect(int fd, const ClientCall& call)
{
    ::ERR_clear_error();
    auto state = std::make_unique<Connection::State>();
    state->ssl.reset(::SSL_new(state_->context.get()));
    SSL* const ssl = state->ssl.get();
    ensure(ssl != nullptr && ::SSL_set_fd(ssl, fd) == 1, "no TLS conversation");
    ::SSL_set_connect_state(ssl);
    limit_protocols(ssl, call.protocols);
    ::SSL_set_verify_depth(ssl, call.verify_depth);
    if (::SSL_set_cipher_list(ssl, call.ciphers.c_str()) != 1)
        return library_error("cipher list");
    if (!call.tlsa.empty())
        TRY_VOID(expect_records(ssl, *this, call));
    if (!call.trust_anchors.empty()) {
        const StorePointer store(::X509_STORE_new());
        add_authorities(store.get(), call.trust_anchors);
        ::SSL_set1_verify_cert_store(ssl, store.get());
        // An anchor need not be at the root of anything.
        ::X509_VERIFY_PARAM_set_flags(::SSL_get0_param(ssl), X509_V_FLAG_PARTIAL_CHAIN);
    } else if (state_->authorities) {
        ::SSL_set1_verify_cert_store(ssl, state_->authorities.get());
    }
    if (!call.server_name.empty() && ::SSL_set_tlsext_host_name(ssl, call.server_name.c_str()) != 1)
        return library_error("server name");
    if (!call.session_key.empty())
        if (SSL_SESSION* const session = state_->find(call.session_key))
            ::SSL_set_session(ssl, session);
    state->server_name = call.server_name;
    state->session_key = call.session_key;
    state->fingerprint_digest = &state_->options.fingerprint_digest;
    state->owner = state_.get();
    return std::make_unique<Connection>(std::move(state));
}

} // namespace bulkhead::tls
