// What a Connection consists of: for the sources of this folder only.
#pragma once

#include "tls/connection.h"
#include "tls/openssl_detail.h"

#include <string>

namespace bulkhead::tls
{

struct Connection::State {
    SslPointer ssl;
    const std::string* fingerprint_digest = nullptr; // the context's
    bool dead = false;                               // the library refuses to go on
    bool secured = false;                            // the handshake is done
    std::string problem;
    std::string server_name; // asked for, or matched
    std::string session_key; // of the client's cache
    void* owner = nullptr;   // the context's state
};

// The state of a conversation, from inside a callback.
Connection::State* state_of(const SSL* ssl);
void attach(SSL* ssl, Connection::State* state);

} // namespace bulkhead::tls
