// What is known of an encrypted session, for log lines, Received: headers and rules.
#pragma once

#include <string>

namespace bulkhead::tls
{

struct Facts {
    std::string protocol; // "TLSv1.3"
    std::string cipher;
    int used_bits = 0;
    int cipher_bits = 0;
    std::string key_exchange;     // "X25519"; of TLS 1.3 only, like the next four
    std::string server_signature; // "RSA-PSS (2048 bits)"
    std::string server_digest;    // "SHA256"
    std::string client_signature;
    std::string client_digest;
    std::string server_name; // SNI that was asked for (client) or matched (server)
    bool resumed = false;

    bool has_certificate = false; // of the peer
    bool trusted = false;         // its chain ends at an authority of ours, or DANE says so
    std::string trust_problem;    // why not
    std::string common_name;      // subject CN, printable
    std::string issuer;           // issuer CN (or O)
    std::string certificate_fingerprint;
    std::string key_fingerprint;
};

// "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 ..."
std::string summary(const Facts& facts);

// The same in the two lines of a Received: header, without the brackets: empty second line
// below TLS 1.3.
std::string cipher_text(const Facts& facts);
std::string exchange_text(const Facts& facts);

} // namespace bulkhead::tls
