#include "linked_in.h"

#include "base/text.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/opensslv.h>

#include <array>
#include <memory>

namespace bulkhead::postconf
{

std::vector<std::string_view> server_sasl_types()
{
    return {};
}

std::vector<std::string_view> client_sasl_types()
{
    return {};
}

std::vector<std::string_view> lock_types()
{
    return {"flock", "fcntl", "dotlock"};
}

static std::vector<std::string> public_key_algorithms()
{
    static constexpr std::array<std::pair<const char*, const char*>, 3> algorithms{{
        {"dsa", "DSA"},
        {"ecdsa", "EC"},
        {"rsa", "RSA"},
    }};
    std::vector<std::string> found;
    for (const auto& [name, openssl_name] : algorithms) {
        const std::unique_ptr<EVP_PKEY_CTX, decltype(&::EVP_PKEY_CTX_free)> context(
            ::EVP_PKEY_CTX_new_from_name(nullptr, openssl_name, nullptr), &::EVP_PKEY_CTX_free);
        if (context)
            found.emplace_back(name);
    }
    return found;
}

Result<std::vector<std::string>> tls_fact(std::string_view mode)
{
    if (mode == "compile-version")
        return std::vector<std::string>{OPENSSL_VERSION_TEXT};
    if (mode == "run-version")
        return std::vector<std::string>{::OpenSSL_version(OPENSSL_VERSION)};
    if (mode == "public-key-algorithms")
        return public_key_algorithms();
    return Error{Fault::not_found, fmt::format("unknown 'postconf -T' mode: {}", printable(mode))};
}

} // namespace bulkhead::postconf
