#include "tls/connection.h"

#include "base/text.h"
#include "tls/connection_state.h"
#include "tls/settings.h"

#include <openssl/x509v3.h>

#include <algorithm>

#include <fmt/format.h>

namespace bulkhead::tls
{

namespace
{

constexpr std::size_t name_limit = 256; // bytes of a name of a certificate
constexpr std::size_t names_limit = 1000;

int state_index()
{
    static const int index = ::SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
    return index;
}

std::string text_of(const ASN1_STRING* value)
{
    unsigned char* bytes = nullptr;
    const int size = ::ASN1_STRING_to_UTF8(&bytes, value);
    if (size < 0)
        return {};
    std::string text(reinterpret_cast<const char*>(bytes),
                     std::min<std::size_t>(static_cast<std::size_t>(size), name_limit));
    ::OPENSSL_free(bytes);
    return printable(text, true);
}

std::string entry_of(const X509_NAME* name, int nid)
{
    const int at = ::X509_NAME_get_index_by_NID(name, nid, -1);
    return at < 0 ? std::string() : text_of(::X509_NAME_ENTRY_get_data(::X509_NAME_get_entry(name, at)));
}

std::string colon_hex(const unsigned char* bytes, unsigned size)
{
    std::string text;
    for (unsigned i = 0; i < size; ++i)
        text += fmt::format("{}{:02X}", i > 0 ? ":" : "", bytes[i]);
    return text;
}

std::string fingerprint(const X509* certificate, const EVP_MD* digest)
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    return ::X509_digest(certificate, digest, bytes, &size) == 1 ? colon_hex(bytes, size) : std::string();
}

std::string key_fingerprint(const X509* certificate, const EVP_MD* digest)
{
    unsigned char* der = nullptr;
    const int length = ::i2d_X509_PUBKEY(::X509_get_X509_PUBKEY(certificate), &der);
    if (length <= 0)
        return {};
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    const bool made = ::EVP_Digest(der, static_cast<std::size_t>(length), bytes, &size, digest, nullptr) == 1;
    ::OPENSSL_free(der);
    return made ? colon_hex(bytes, size) : std::string();
}

std::string group_of(const EVP_PKEY* key)
{
    char name[64] = "";
    std::size_t size = 0;
    return ::EVP_PKEY_get_group_name(key, name, sizeof name, &size) == 1 ? name : "";
}

std::string exchange_name(const EVP_PKEY* key)
{
    switch (::EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_EC:
        return fmt::format("ECDHE ({})", group_of(key));
    case EVP_PKEY_DH:
        return fmt::format("DHE ({} bits)", ::EVP_PKEY_get_bits(key));
    case EVP_PKEY_X25519:
        return "X25519";
    case EVP_PKEY_X448:
        return "X448";
    default:
        return ::EVP_PKEY_get0_type_name(key);
    }
}

std::string signature_name(int type, X509* certificate)
{
    const EVP_PKEY* key = certificate ? ::X509_get0_pubkey(certificate) : nullptr;
    if (!key)
        return {};
    switch (type) {
    case EVP_PKEY_RSA:
        return fmt::format("RSA ({} bits)", ::EVP_PKEY_get_bits(key));
    case EVP_PKEY_RSA_PSS:
        return fmt::format("RSA-PSS ({} bits)", ::EVP_PKEY_get_bits(key));
    case EVP_PKEY_EC:
        return fmt::format("ECDSA ({})", group_of(key));
    case EVP_PKEY_ED25519:
        return "Ed25519";
    case EVP_PKEY_ED448:
        return "Ed448";
    default:
        return ::OBJ_nid2sn(type);
    }
}

std::string digest_name(int nid)
{
    return nid == NID_undef ? std::string() : ::OBJ_nid2sn(nid);
}

// Who signed with what: only TLS 1.3 tells more than the cipher's name does.
void add_exchange(Facts& facts, SSL* ssl, X509* peer)
{
    if (::SSL_version(ssl) < TLS1_3_VERSION)
        return;
    EVP_PKEY* raw = nullptr;
    if (::SSL_get_peer_tmp_key(ssl, &raw) == 1) {
        const KeyPointer key(raw);
        facts.key_exchange = exchange_name(raw);
    }
    if (facts.resumed)
        return; // nobody has signed anything
    const bool is_server = ::SSL_is_server(ssl) == 1;
    int type = NID_undef;
    int digest = NID_undef;
    if (::SSL_get_signature_type_nid(ssl, &type) == 1 && ::SSL_get_certificate(ssl)) {
        (is_server ? facts.server_signature : facts.client_signature) =
            signature_name(type, ::SSL_get_certificate(ssl));
        if (::SSL_get_signature_nid(ssl, &digest) == 1)
            (is_server ? facts.server_digest : facts.client_digest) = digest_name(digest);
    }
    digest = NID_undef;
    if (peer && ::SSL_get_peer_signature_type_nid(ssl, &type) == 1) {
        (is_server ? facts.client_signature : facts.server_signature) = signature_name(type, peer);
        if (::SSL_get_peer_signature_nid(ssl, &digest) == 1)
            (is_server ? facts.client_digest : facts.server_digest) = digest_name(digest);
    }
}

void add_names(std::vector<std::string>& names, X509* certificate)
{
    auto* const list =
        static_cast<GENERAL_NAMES*>(::X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
    for (int i = 0; i < sk_GENERAL_NAME_num(list) && names.size() < names_limit; ++i) {
        int type = 0;
        const void* const value = ::GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(list, i), &type);
        if (type != GEN_DNS)
            continue;
        const auto* const text = static_cast<const ASN1_STRING*>(value);
        const std::string_view bytes(reinterpret_cast<const char*>(::ASN1_STRING_get0_data(text)),
                                     static_cast<std::size_t>(::ASN1_STRING_length(text)));
        // A NUL inside is an attempt to look like somebody else.
        if (bytes.size() <= name_limit && bytes.find('\0') == bytes.npos)
            names.emplace_back(bytes);
    }
    ::GENERAL_NAMES_free(list);
}

} // namespace

Connection::State* state_of(const SSL* ssl)
{
    return static_cast<Connection::State*>(::SSL_get_ex_data(ssl, state_index()));
}

void attach(SSL* ssl, Connection::State* state)
{
    ::SSL_set_ex_data(ssl, state_index(), state);
}

std::string take_library_errors()
{
    std::string text;
    const char* file = nullptr;
    const char* function = nullptr;
    const char* data = nullptr;
    int line = 0;
    int flags = 0;
    unsigned long code = 0;
    while ((code = ::ERR_get_error_all(&file, &line, &function, &data, &flags)) != 0) {
        if (!text.empty()) // the first is the cause
            continue;
        char sentence[256];
        ::ERR_error_string_n(code, sentence, sizeof sentence);
        text = fmt::format("{}:{}:{}:{}", sentence, file ? file : "", line,
                           (flags & ERR_TXT_STRING) && data ? data : "");
    }
    return printable(text);
}

Error library_error(std::string_view what)
{
    return Error(Fault::config, fmt::format("{}: {}", what, take_library_errors()));
}

Connection::Connection(std::unique_ptr<State> state) : state_(std::move(state))
{
    attach(state_->ssl.get(), state_.get());
}

Connection::~Connection() = default;

// What the library's answer means; keeps the reason of a failure.
static Transport::Step step_of(Connection::State& state, int result)
{
    switch (::SSL_get_error(state.ssl.get(), result)) {
    case SSL_ERROR_NONE:
        return Transport::Step::done;
    case SSL_ERROR_WANT_READ:
        return Transport::Step::wants_input;
    case SSL_ERROR_WANT_WRITE:
        return Transport::Step::wants_output;
    case SSL_ERROR_ZERO_RETURN:
        return Transport::Step::ended;
    case SSL_ERROR_SSL:
        state.dead = true;
        state.problem = take_library_errors();
        return Transport::Step::failed;
    default: // the socket
        state.dead = true;
        return Transport::Step::ended;
    }
}

Transport::Step Connection::handshake()
{
    ::ERR_clear_error();
    const Step step = step_of(*state_, ::SSL_do_handshake(state_->ssl.get()));
    state_->secured = step == Step::done;
    // The end of the peer's bytes in the middle of a handshake.
    return step == Step::failed && state_->problem.empty() ? Step::ended : step;
}

Transport::Step Connection::read(std::span<char> room, std::size_t& got)
{
    if (state_->dead)
        return Step::ended;
    ::ERR_clear_error();
    return step_of(*state_, ::SSL_read_ex(state_->ssl.get(), room.data(), room.size(), &got));
}

Transport::Step Connection::write(std::string_view bytes, std::size_t& taken)
{
    if (state_->dead)
        return Step::ended;
    ::ERR_clear_error();
    return step_of(*state_, ::SSL_write_ex(state_->ssl.get(), bytes.data(), bytes.size(), &taken));
}

void Connection::close()
{
    if (state_->dead || !state_->secured)
        return;
    ::ERR_clear_error();
    ::SSL_shutdown(state_->ssl.get()); // our close_notify; the peer's is not waited for
    ::ERR_clear_error();
    state_->dead = true;
}

std::string Connection::problem() const
{
    return state_->problem;
}

Facts Connection::facts() const
{
    SSL* const ssl = state_->ssl.get();
    Facts facts;
    facts.protocol = ::SSL_get_version(ssl);
    if (const SSL_CIPHER* cipher = ::SSL_get_current_cipher(ssl)) {
        facts.cipher = ::SSL_CIPHER_get_name(cipher);
        facts.used_bits = ::SSL_CIPHER_get_bits(cipher, &facts.cipher_bits);
    }
    facts.resumed = ::SSL_session_reused(ssl) == 1;
    facts.server_name = state_->server_name;
    X509* const peer = ::SSL_get0_peer_certificate(ssl);
    add_exchange(facts, ssl, peer);
    if (!peer)
        return facts;
    facts.has_certificate = true;
    const long verified = ::SSL_get_verify_result(ssl);
    facts.trusted = verified == X509_V_OK;
    if (!facts.trusted)
        facts.trust_problem = ::X509_verify_cert_error_string(verified);
    facts.common_name = entry_of(::X509_get_subject_name(peer), NID_commonName);
    facts.issuer = entry_of(::X509_get_issuer_name(peer), NID_commonName);
    if (facts.issuer.empty())
        facts.issuer = entry_of(::X509_get_issuer_name(peer), NID_organizationName);
    if (const EVP_MD* digest = ::EVP_get_digestbyname(state_->fingerprint_digest->c_str())) {
        facts.certificate_fingerprint = fingerprint(peer, digest);
        facts.key_fingerprint = key_fingerprint(peer, digest);
    }
    return facts;
}

std::vector<std::string> Connection::names() const
{
    std::vector<std::string> names;
    X509* const peer = ::SSL_get0_peer_certificate(state_->ssl.get());
    if (!peer)
        return names;
    add_names(names, peer);
    if (names.empty())
        if (std::string name = entry_of(::X509_get_subject_name(peer), NID_commonName); !name.empty())
            names.push_back(std::move(name));
    return names;
}

bool Connection::has_name_of(const std::vector<std::string>& wanted) const
{
    const auto all = names();
    return std::ranges::any_of(all, [&](const std::string& name) {
        return std::ranges::any_of(wanted, [&](const std::string& one) { return name_matches(one, name); });
    });
}

bool Connection::has_fingerprint_of(const std::vector<std::string>& wanted) const
{
    const Facts known = facts();
    return std::ranges::any_of(wanted, [&](const std::string& one) {
        return same_fingerprint(one, known.certificate_fingerprint) ||
               same_fingerprint(one, known.key_fingerprint);
    });
}

std::string Connection::exported(std::string_view label, std::size_t size) const
{
    std::string bytes(size, '\0');
    const int made = ::SSL_export_keying_material(
        state_->ssl.get(), reinterpret_cast<unsigned char*>(bytes.data()), bytes.size(), label.data(),
        label.size(), reinterpret_cast<const unsigned char*>(""), 0, 1);
    return made == 1 ? bytes : std::string();
}

} // namespace bulkhead::tls
