// TLS of the programs that stand in front of smtpd: with its certificate, by its parameters.
#pragma once

#include "base/result.h"
#include "tls/context.h"
#include "tls/params.h"
#include "tls/settings.h"

#include <memory>
#include <string>
#include <vector>

namespace bulkhead::tls
{

// A part of a program's ParamSet: ServerParams tls{this};
struct ServerParams {
    explicit ServerParams(ParamSet* owner) : set(owner) {}

    ParamSet* set;
    Param<std::vector<std::string>> chain_files{set, "smtpd_tls_chain_files", "",
                                                "files with a private key and its certificates behind it"};
    Param<std::string> certificate{set, "smtpd_tls_cert_file", "", "certificate chain (RSA); none: without"};
    Param<std::string> key{set, "smtpd_tls_key_file", "$smtpd_tls_cert_file", "its private key"};
    Param<std::string> ec_certificate{set, "smtpd_tls_eccert_file", "", "certificate chain (ECDSA)"};
    Param<std::string> ec_key{set, "smtpd_tls_eckey_file", "$smtpd_tls_eccert_file", "its private key"};
    Param<bool> ask_certificate{set, "smtpd_tls_ask_ccert", "no", "ask clients for a certificate"};
    Param<std::string> authority_file{set, "smtpd_tls_CAfile", "", "who may vouch for clients"};
    Param<std::string> authority_folder{set, "smtpd_tls_CApath", "",
                                        "the same as a folder that openssl rehash has named"};
    Param<int> verify_depth{set, "smtpd_tls_ccert_verifydepth", "9", at_least(0),
                            "authorities between a client's certificate and one that we know"};
    Param<std::string> fingerprint_digest{set, "smtpd_tls_fingerprint_digest",
                                          "${{$compatibility_level} <level {3.6} ? {md5} : {sha256}}",
                                          "the digest of certificate fingerprints"};
    Param<std::string> protocols{set, "smtpd_tls_protocols", ">=TLSv1", "protocols at level may"};
    Param<std::string> mandatory_protocols{set, "smtpd_tls_mandatory_protocols", ">=TLSv1",
                                           "protocols at level encrypt"};
    Param<std::string> ciphers{set, "smtpd_tls_ciphers", "medium", "cipher grade at level may"};
    Param<std::string> mandatory_ciphers{set, "smtpd_tls_mandatory_ciphers", "medium",
                                         "cipher grade at level encrypt"};
    Param<std::vector<std::string>> excluded{set, "smtpd_tls_exclude_ciphers", "",
                                             "ciphers that are never used"};
    Param<std::vector<std::string>> mandatory_excluded{set, "smtpd_tls_mandatory_exclude_ciphers", "",
                                                       "more of them at level encrypt"};
    Param<Seconds> session_time{set, "smtpd_tls_session_cache_timeout", "3600s", at_least(0),
                                "how long a session may be resumed; 0: never"};
    CommonParams common{set};
};

// Before the jail.  Null: there is no certificate, or the level is none.
Result<std::unique_ptr<ServerContext>> open_own_server(const ServerParams& params, Level level,
                                                       const std::string& service);

} // namespace bulkhead::tls
