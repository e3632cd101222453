// The TLS parameters of the SMTP server: a part of SmtpdParams.
#pragma once

#include "config/params.h"
#include "tls/params.h"

#include <string>
#include <vector>

namespace bulkhead
{

struct SmtpdTlsParams {
    explicit SmtpdTlsParams(ParamSet* owner) : set(owner) {}

    ParamSet* set;
    Param<std::string> level{set, "smtpd_tls_security_level", "", "none, may or encrypt"};
    Param<bool> use{set, "smtpd_use_tls", "no", "the old way to say smtpd_tls_security_level = may"};
    Param<bool> enforce{set, "smtpd_enforce_tls", "no",
                        "the old way to say smtpd_tls_security_level = encrypt"};
    Param<bool> wrapper{set, "smtpd_tls_wrappermode", "no", "TLS from the first byte, without STARTTLS"};
    Param<bool> auth_only{set, "smtpd_tls_auth_only", "no", "offer AUTH inside TLS only"};
    Param<Seconds> starttls_timeout{set, "smtpd_starttls_timeout", "${stress?{10}:{300}}s", at_least(1),
                                    "how long a TLS handshake may take"};
    Param<std::string> log_level{set, "smtpd_tls_loglevel", "0",
                                 "1: a line for each TLS session, 2 and more: details"};
    Param<bool> received_header{set, "smtpd_tls_received_header", "no",
                                "tell protocol, cipher and client certificate in Received:"};

    Param<std::vector<std::string>> chain_files{set, "smtpd_tls_chain_files", "",
                                                "files with a private key and its certificates behind it"};
    Param<std::string> certificate{set, "smtpd_tls_cert_file", "", "certificate chain (RSA); none: without"};
    Param<std::string> key{set, "smtpd_tls_key_file", "$smtpd_tls_cert_file", "its private key"};
    Param<std::string> ec_certificate{set, "smtpd_tls_eccert_file", "", "certificate chain (ECDSA)"};
    Param<std::string> ec_key{set, "smtpd_tls_eckey_file", "$smtpd_tls_eccert_file", "its private key"};
    Param<std::string> server_names{set, "tls_server_sni_maps", "",
                                    "keys and certificates by the name that the client asks for"};

    Param<std::string> authority_file{set, "smtpd_tls_CAfile", "", "who may vouch for clients"};
    Param<std::string> authority_folder{set, "smtpd_tls_CApath", "",
                                        "the same as a folder that openssl rehash has named"};
    Param<bool> ask_certificate{set, "smtpd_tls_ask_ccert", "no", "ask clients for a certificate"};
    Param<bool> require_certificate{set, "smtpd_tls_req_ccert", "no",
                                    "refuse clients without a trusted certificate; where TLS is mandatory"};
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
    Param<std::string> session_database{set, "smtpd_tls_session_cache_database", "",
                                        "where sessions are kept for other processes"};
    tls::CommonParams common{set};
};

} // namespace bulkhead
