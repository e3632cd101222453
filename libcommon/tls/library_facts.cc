#include "tls/library_facts.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/opensslv.h>

#include <array>
#include <memory>
#include <utility>

namespace bulkhead::tls
{

std::string_view compiled_version()
{
    return OPENSSL_VERSION_TEXT;
}

std::string_view running_version()
{
    return ::OpenSSL_version(OPENSSL_VERSION);
}

std::vector<std::string_view> public_key_algorithms()
{
    static constexpr std::array<std::pair<std::string_view, const char*>, 3> algorithms{{
        {"dsa", "DSA"},
        {"ecdsa", "EC"},
        {"rsa", "RSA"},
    }};
    std::vector<std::string_view> found;
    for (const auto& [name, openssl_name] : algorithms) {
        const std::unique_ptr<EVP_PKEY_CTX, decltype(&::EVP_PKEY_CTX_free)> context(
            ::EVP_PKEY_CTX_new_from_name(nullptr, openssl_name, nullptr), &::EVP_PKEY_CTX_free);
        if (context)
            found.push_back(name);
    }
    return found;
}

} // namespace bulkhead::tls
