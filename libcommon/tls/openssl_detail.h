// OpenSSL's types as ours: for the sources of this folder only.
#pragma once

#include "base/result.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <string_view>

namespace bulkhead::tls
{

template <auto release> struct Releaser {
    template <typename T> void operator()(T* object) const { release(object); }
};
using SslPointer = std::unique_ptr<SSL, Releaser<SSL_free>>;
using SslContextPointer = std::unique_ptr<SSL_CTX, Releaser<SSL_CTX_free>>;
using SessionPointer = std::unique_ptr<SSL_SESSION, Releaser<SSL_SESSION_free>>;
using CertificatePointer = std::unique_ptr<X509, Releaser<X509_free>>;
using KeyPointer = std::unique_ptr<EVP_PKEY, Releaser<EVP_PKEY_free>>;
using StorePointer = std::unique_ptr<X509_STORE, Releaser<X509_STORE_free>>;
using BioPointer = std::unique_ptr<BIO, Releaser<BIO_free>>;

// What the library has to say about its last failure, and forgets; in one line.
std::string take_library_errors();

// "what: error:..." as Fault::config.
Error library_error(std::string_view what);

// A session in the library's own form, and back; null: that is none.
std::string session_bytes(SSL_SESSION* session);
SessionPointer session_from(std::string_view bytes);

// Certificates of PEM text into a store; the count.
std::size_t add_authorities(X509_STORE* store, const std::string& pem);

} // namespace bulkhead::tls
