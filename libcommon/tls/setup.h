// What server and client contexts are set up with alike: for the sources of this folder only.
#pragma once

#include "tls/files.h"
#include "tls/openssl_detail.h"
#include "tls/params.h"

#include <string>
#include <vector>

namespace bulkhead::tls
{

// A context with our modes, options and groups.
Result<SslContextPointer> make_context(const SSL_METHOD* method, const CommonParams& params);

// Puts a key with its chain into the context, for each key that the text has.
Result<> use_keys(SSL_CTX* context, const KeyChain& chain);

// Bounds and exclusions on one conversation or on all of a context.
void limit_protocols(SSL* ssl, const Protocols& protocols);
void limit_protocols(SSL_CTX* context, const Protocols& protocols);

} // namespace bulkhead::tls
