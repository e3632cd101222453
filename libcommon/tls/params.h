// The tls_* parameters, which server and client share.
#pragma once

#include "config/params.h"
#include "tls/settings.h"

#include <string>
#include <vector>

namespace bulkhead::tls
{

// A part of a program's ParamSet: CommonParams tls_common{this};
struct CommonParams {
    explicit CommonParams(ParamSet* owner) : set(owner) {}

    ParamSet* set;
    Param<std::string> high_ciphers{set, "tls_high_cipherlist", "aNULL:-aNULL:HIGH:@STRENGTH",
                                    "the ciphers of grade high"};
    Param<std::string> medium_ciphers{set, "tls_medium_cipherlist", "aNULL:-aNULL:HIGH:MEDIUM:+RC4:@STRENGTH",
                                      "the ciphers of grade medium"};
    Param<std::string> null_ciphers{set, "tls_null_cipherlist", "eNULL:!aNULL", "the ciphers of grade null"};
    Param<std::vector<std::string>> curves{set, "tls_eecdh_auto_curves",
                                           "X25519 X448 prime256v1 secp521r1 secp384r1",
                                           "curves for the key exchange, the best first"};
    Param<bool> server_order{set, "tls_preempt_cipherlist", "no",
                             "the server's order of ciphers stands above the client's"};
    Param<std::vector<std::string>> options{set, "tls_ssl_options", "",
                                            "options of the TLS library to switch on, by name or number"};
    Param<std::vector<std::string>> no_workarounds{set, "tls_disable_workarounds", "",
                                                   "work-arounds of the TLS library to switch off"};
    Param<std::string> config_file{set, "tls_config_file", "default",
                                   "the TLS library's own settings: default, none or a file"};
    Param<std::string> config_name{set, "tls_config_name", "", "the section of tls_config_file to use"};
    Param<bool> append_default_authorities{set, "tls_append_default_CA", "no",
                                           "trust the system's authorities besides those named"};
    Param<std::vector<std::string>> dane_digests{
        set, "tls_dane_digests", "sha512 sha256",
        "digests of TLSA records, the best first; name=number for another matching type"};
    Param<std::string> ticket_cipher{set, "tls_session_ticket_cipher", "aes-256-cbc",
                                     "how session tickets are encrypted"};

    CipherLists cipher_lists() const { return {high_ciphers(), medium_ciphers(), null_ciphers()}; }
};

} // namespace bulkhead::tls
