#include "tls/setup.h"

#include "base/text.h"
#include "tls/context.h"

#include <openssl/pem.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <span>

#include <fmt/format.h>

namespace bulkhead::tls
{

namespace
{

struct OptionName {
    std::string_view name;
    std::uint64_t bits;
};

constexpr std::array<OptionName, 9> option_names = {{
    {"ENABLE_MIDDLEBOX_COMPAT", SSL_OP_ENABLE_MIDDLEBOX_COMPAT},
    {"LEGACY_SERVER_CONNECT", SSL_OP_LEGACY_SERVER_CONNECT},
    {"NO_COMPRESSION", SSL_OP_NO_COMPRESSION},
    {"NO_ENCRYPT_THEN_MAC", SSL_OP_NO_ENCRYPT_THEN_MAC},
    {"NO_RENEGOTIATION", SSL_OP_NO_RENEGOTIATION},
    {"NO_SESSION_RESUMPTION_ON_RENEGOTIATION", SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION},
    {"NO_TICKET", SSL_OP_NO_TICKET},
    {"PRIORITIZE_CHACHA", SSL_OP_PRIORITIZE_CHACHA},
    {"TLSEXT_PADDING", SSL_OP_TLSEXT_PADDING},
}};

constexpr std::array<OptionName, 5> workaround_names = {{
    {"CRYPTOPRO_TLSEXT_BUG", SSL_OP_CRYPTOPRO_TLSEXT_BUG},
    {"DONT_INSERT_EMPTY_FRAGMENTS", SSL_OP_DONT_INSERT_EMPTY_FRAGMENTS},
    {"LEGACY_SERVER_CONNECT", SSL_OP_LEGACY_SERVER_CONNECT},
    {"SAFARI_ECDHE_ECDSA_BUG", SSL_OP_SAFARI_ECDHE_ECDSA_BUG},
    {"TLSEXT_PADDING", SSL_OP_TLSEXT_PADDING},
}};

// Work-arounds that the library has forgotten; nothing is left to switch off.
constexpr std::array<std::string_view, 12> past_workarounds = {"MICROSOFT_SESS_ID_BUG",
                                                               "NETSCAPE_CHALLENGE_BUG",
                                                               "NETSCAPE_REUSE_CIPHER_CHANGE_BUG",
                                                               "MSIE_SSLV2_RSA_PADDING",
                                                               "MICROSOFT_BIG_SSLV3_BUFFER",
                                                               "SSLEAY_080_CLIENT_DH_BUG",
                                                               "TLS_D5_BUG",
                                                               "TLS_BLOCK_PADDING_BUG",
                                                               "SSLREF2_REUSE_CERT_TYPE_BUG",
                                                               "TLS_ROLLBACK_BUG",
                                                               "CVE-2010-4180",
                                                               "CVE-2005-2969"};

Result<std::uint64_t> option_bits(std::span<const OptionName> names, const std::vector<std::string>& words,
                                  std::string_view parameter)
{
    std::uint64_t bits = 0;
    for (const std::string& word : words) {
        const auto row = std::ranges::find_if(
            names, [&](const OptionName& one) { return equals_ignoring_case(one.name, word); });
        std::uint64_t number = 0;
        if (row != names.end()) {
            bits |= row->bits;
        } else if (starts_with_ignoring_case(word, "0x") &&
                   std::from_chars(word.data() + 2, word.data() + word.size(), number, 16).ptr ==
                       word.data() + word.size()) {
            bits |= number;
        } else if (std::ranges::find(past_workarounds, word) == past_workarounds.end()) {
            return Error(Fault::config, fmt::format("{}: unknown name \"{}\"", parameter, printable(word)));
        }
    }
    return bits;
}

// The groups that this library knows, in the configured order; none named: its own choice.
void choose_groups(SSL_CTX* context, const std::vector<std::string>& names)
{
    std::vector<int> groups;
    for (const std::string& name : names) {
        const int nid = ::OBJ_txt2nid(name.c_str());
        if (nid != NID_undef && ::SSL_CTX_set1_groups(context, const_cast<int*>(&nid), 1) == 1)
            groups.push_back(nid);
    }
    if (!groups.empty())
        ::SSL_CTX_set1_groups(context, groups.data(), static_cast<long>(groups.size()));
    ::ERR_clear_error();
}

struct PemBlock {
    std::string name;
    bool encrypted = false;
    std::vector<unsigned char> der;
    ~PemBlock() { OPENSSL_cleanse(der.data(), der.size()); }
    PemBlock() = default;
    PemBlock(PemBlock&&) = default;
};

std::vector<PemBlock> pem_blocks(const std::string& text)
{
    std::vector<PemBlock> blocks;
    const BioPointer bio(::BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
    char* name = nullptr;
    char* header = nullptr;
    unsigned char* data = nullptr;
    long size = 0;
    while (::PEM_read_bio(bio.get(), &name, &header, &data, &size) == 1) {
        PemBlock block;
        block.name = name;
        block.encrypted = *header != '\0' || block.name == "ENCRYPTED PRIVATE KEY";
        block.der.assign(data, data + size);
        ::OPENSSL_free(name);
        ::OPENSSL_free(header);
        ::OPENSSL_clear_free(data, static_cast<std::size_t>(size));
        blocks.push_back(std::move(block));
    }
    ::ERR_clear_error(); // the end of the text
    return blocks;
}

CertificatePointer certificate_of(const PemBlock& block)
{
    const unsigned char* at = block.der.data();
    const auto size = static_cast<long>(block.der.size());
    if (block.name == "CERTIFICATE" || block.name == "X509 CERTIFICATE")
        return CertificatePointer(::d2i_X509(nullptr, &at, size));
    if (block.name == "TRUSTED CERTIFICATE")
        return CertificatePointer(::d2i_X509_AUX(nullptr, &at, size));
    return nullptr;
}

bool is_key(const PemBlock& block)
{
    return block.name.ends_with("PRIVATE KEY");
}

Result<KeyPointer> key_of(const PemBlock& block)
{
    if (block.encrypted)
        return Error(Fault::config, "the private key is encrypted: nobody is there to type a password");
    const unsigned char* at = block.der.data();
    KeyPointer key(::d2i_AutoPrivateKey(nullptr, &at, static_cast<long>(block.der.size())));
    if (!key)
        return library_error("bad private key");
    return key;
}

Result<> use_one(SSL_CTX* context, EVP_PKEY* key, const std::vector<CertificatePointer>& certificates)
{
    if (certificates.empty())
        return Error(Fault::config, "no certificate for the private key");
    STACK_OF(X509)* const chain = sk_X509_new_null();
    for (std::size_t i = 1; i < certificates.size(); ++i)
        sk_X509_push(chain, certificates[i].get());
    const int used = ::SSL_CTX_use_cert_and_key(context, certificates.front().get(), key, chain, 1);
    sk_X509_free(chain); // the context has references of its own
    if (used != 1)
        return library_error("key and certificate do not fit");
    return {};
}

Result<std::vector<CertificatePointer>> certificates_of(const std::string& text)
{
    std::vector<CertificatePointer> all;
    for (const PemBlock& block : pem_blocks(text)) {
        if (is_key(block))
            continue;
        if (auto certificate = certificate_of(block))
            all.push_back(std::move(certificate));
        else if (block.name.ends_with("CERTIFICATE"))
            return library_error("bad certificate");
    }
    return all;
}

Result<> use_separate(SSL_CTX* context, const KeyChain& chain)
{
    TRY(const auto certificates, certificates_of(chain.chains));
    for (const PemBlock& block : pem_blocks(chain.keys)) {
        if (!is_key(block))
            continue;
        TRY(const KeyPointer key, key_of(block));
        return use_one(context, key.get(), certificates);
    }
    return Error(Fault::config, "no private key");
}

// Each key stands in front of its chain.
Result<> use_sequence(SSL_CTX* context, const std::string& text)
{
    KeyPointer key;
    std::vector<CertificatePointer> certificates;
    for (const PemBlock& block : pem_blocks(text)) {
        if (is_key(block)) {
            if (key)
                TRY_VOID(use_one(context, key.get(), certificates));
            certificates.clear();
            TRY(key, key_of(block));
        } else if (auto certificate = certificate_of(block)) {
            if (!key)
                return Error(Fault::config, "a certificate stands in front of its private key");
            certificates.push_back(std::move(certificate));
        }
    }
    if (!key)
        return Error(Fault::config, "no private key");
    return use_one(context, key.get(), certificates);
}

std::uint64_t excluding_option(std::uint16_t version)
{
    switch (version) {
    case SSL3_VERSION:
        return SSL_OP_NO_SSLv3;
    case TLS1_VERSION:
        return SSL_OP_NO_TLSv1;
    case TLS1_1_VERSION:
        return SSL_OP_NO_TLSv1_1;
    case TLS1_2_VERSION:
        return SSL_OP_NO_TLSv1_2;
    case TLS1_3_VERSION:
        return SSL_OP_NO_TLSv1_3;
    default:
        return 0;
    }
}

std::uint64_t exclusions(const Protocols& protocols)
{
    std::uint64_t bits = 0;
    for (const std::uint16_t version : protocols.excluded)
        bits |= excluding_option(version);
    return bits;
}

} // namespace

Result<> start_library(const CommonParams& params)
{
    std::uint64_t what = OPENSSL_INIT_LOAD_CONFIG;
    const std::unique_ptr<OPENSSL_INIT_SETTINGS, Releaser<OPENSSL_INIT_free>> settings(::OPENSSL_INIT_new());
    if (params.config_file() == "none")
        what = OPENSSL_INIT_NO_LOAD_CONFIG;
    else if (params.config_file() != "default")
        ::OPENSSL_INIT_set_config_filename(settings.get(), params.config_file().c_str());
    if (!params.config_name().empty())
        ::OPENSSL_INIT_set_config_appname(settings.get(), params.config_name().c_str());
    if (::OPENSSL_init_ssl(what, settings.get()) != 1)
        return library_error("TLS library");
    return {};
}

std::size_t add_authorities(X509_STORE* store, const std::string& pem)
{
    std::size_t count = 0;
    for (const PemBlock& block : pem_blocks(pem))
        if (const auto certificate = certificate_of(block))
            count += ::X509_STORE_add_cert(store, certificate.get()) == 1 ? 1 : 0;
    ::ERR_clear_error();
    return count;
}

Result<SslContextPointer> make_context(const SSL_METHOD* method, const CommonParams& params)
{
    TRY(const auto wanted, option_bits(option_names, params.options(), "tls_ssl_options"));
    TRY(const auto unwanted,
        option_bits(workaround_names, params.no_workarounds(), "tls_disable_workarounds"));
    SslContextPointer context(::SSL_CTX_new(method));
    if (!context)
        return library_error("TLS library");
    SSL_CTX* const raw = context.get();
    ::SSL_CTX_set_options(raw, (SSL_OP_ALL & ~unwanted) | wanted | SSL_OP_NO_RENEGOTIATION |
                                   SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    if (params.server_order())
        ::SSL_CTX_set_options(raw, SSL_OP_CIPHER_SERVER_PREFERENCE);
    // Buffers of an idle conversation go back; a write may go on from another place.
    ::SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    ::SSL_CTX_set_read_ahead(raw, 1); // a record costs one system call, not two
    ::SSL_CTX_set_dh_auto(raw, 1);
    choose_groups(raw, params.curves());
    return context;
}

Result<> use_keys(SSL_CTX* context, const KeyChain& chain)
{
    ::ERR_clear_error();
    const auto used = chain.chains.empty() ? use_sequence(context, chain.keys) : use_separate(context, chain);
    if (!used)
        return Error(Fault::config, fmt::format("{}: {}", chain.label, used.error().context));
    return {};
}

void limit_protocols(SSL* ssl, const Protocols& protocols)
{
    ::SSL_set_options(ssl, exclusions(protocols));
    ::SSL_set_min_proto_version(ssl, protocols.lowest);
    ::SSL_set_max_proto_version(ssl, protocols.highest);
}

void limit_protocols(SSL_CTX* context, const Protocols& protocols)
{
    ::SSL_CTX_set_options(context, exclusions(protocols));
    ::SSL_CTX_set_min_proto_version(context, protocols.lowest);
    ::SSL_CTX_set_max_proto_version(context, protocols.highest);
}

std::string session_bytes(SSL_SESSION* session)
{
    const int size = ::i2d_SSL_SESSION(session, nullptr);
    std::string bytes(size > 0 ? static_cast<std::size_t>(size) : 0, '\0');
    auto* out = reinterpret_cast<unsigned char*>(bytes.data());
    if (size > 0)
        ::i2d_SSL_SESSION(session, &out);
    return bytes;
}

SessionPointer session_from(std::string_view bytes)
{
    const auto* in = reinterpret_cast<const unsigned char*>(bytes.data());
    SessionPointer read(bytes.empty() ? nullptr
                                      : ::d2i_SSL_SESSION(nullptr, &in, static_cast<long>(bytes.size())));
    ::ERR_clear_error();
    return read;
}

} // namespace bulkhead::tls
