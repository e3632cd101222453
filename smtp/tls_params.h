// The TLS parameters of the SMTP client: a part of SmtpParams.
#pragma once

#include "config/params.h"
#include "tls/params.h"

#include <string>
#include <vector>

namespace bulkhead
{

struct SmtpTlsParams {
    explicit SmtpTlsParams(ParamSet* owner) : set(owner) {}

    ParamSet* set;
    Param<std::string> level{set, "smtp_tls_security_level", "",
                             "none, may, encrypt, fingerprint, dane, dane-only, verify or secure"};
    Param<bool> use{set, "smtp_use_tls", "no", "the old way to say smtp_tls_security_level = may"};
    Param<bool> enforce{set, "smtp_enforce_tls", "no",
                        "the old way to say smtp_tls_security_level = encrypt or verify"};
    Param<bool> enforce_name{set, "smtp_tls_enforce_peername", "yes",
                             "smtp_enforce_tls is about the certificate too"};
    Param<bool> wrapper{set, "smtp_tls_wrappermode", "no", "TLS from the first byte"};
    Param<std::string> policy_maps{set, "smtp_tls_policy_maps", "", "TLS levels and attributes by next hop"};
    Param<std::string> per_site{set, "smtp_tls_per_site", "", "the old way of smtp_tls_policy_maps"};
    Param<Seconds> starttls_timeout{set, "smtp_starttls_timeout", "300s", at_least(1),
                                    "time limit of STARTTLS and of the handshake"};
    Param<std::string> log_level{set, "smtp_tls_loglevel", "0",
                                 "1: a line for each TLS session, 2 and more: details"};
    Param<bool> note_offer{set, "smtp_tls_note_starttls_offer", "no",
                           "log servers that offer STARTTLS where TLS is off"};

    Param<std::vector<std::string>> chain_files{set, "smtp_tls_chain_files", "",
                                                "files with a private key and its certificates behind it"};
    Param<std::string> certificate{set, "smtp_tls_cert_file", "", "certificate chain (RSA)"};
    Param<std::string> key{set, "smtp_tls_key_file", "$smtp_tls_cert_file", "its private key"};
    Param<std::string> ec_certificate{set, "smtp_tls_eccert_file", "", "certificate chain (ECDSA)"};
    Param<std::string> ec_key{set, "smtp_tls_eckey_file", "$smtp_tls_eccert_file", "its private key"};

    Param<std::string> authority_file{set, "smtp_tls_CAfile", "", "who may vouch for servers"};
    Param<std::string> authority_folder{set, "smtp_tls_CApath", "",
                                        "the same as a folder that openssl rehash has named"};
    Param<std::string> trust_anchor_file{set, "smtp_tls_trust_anchor_file", "",
                                         "certificates that are trusted instead of the authorities"};
    Param<int> verify_depth{set, "smtp_tls_scert_verifydepth", "9", at_least(0),
                            "authorities between a server's certificate and one that we know"};
    Param<std::string> verify_match{set, "smtp_tls_verify_cert_match", "hostname",
                                    "names in the certificate at level verify"};
    Param<std::string> secure_match{set, "smtp_tls_secure_cert_match", "nexthop, dot-nexthop",
                                    "names in the certificate at level secure"};
    Param<std::string> fingerprint_match{set, "smtp_tls_fingerprint_cert_match", "",
                                         "fingerprints of certificates or keys at level fingerprint"};
    Param<std::string> fingerprint_digest{set, "smtp_tls_fingerprint_digest",
                                          "${{$compatibility_level} <level {3.6} ? {md5} : {sha256}}",
                                          "the digest of certificate fingerprints"};
    Param<std::string> server_name{set, "smtp_tls_servername", "",
                                   "the name to ask the server for: hostname, nexthop or a name"};

    Param<bool> reuse{set, "smtp_tls_connection_reuse", "no", "keep connections inside TLS for more mail"};
    Param<std::string> session_database{set, "smtp_tls_session_cache_database", "",
                                        "where sessions are kept for other processes"};
    Param<std::string> insecure_mx{
        set, "smtp_tls_dane_insecure_mx_policy", "${{$smtp_tls_security_level} == {dane} ? {dane} : {may}}",
        "dane, encrypt or may: the level of signed servers whose MX record is not signed"};

    Param<std::string> protocols{set, "smtp_tls_protocols", ">=TLSv1", "protocols at level may"};
    Param<std::string> mandatory_protocols{set, "smtp_tls_mandatory_protocols", ">=TLSv1",
                                           "protocols at level encrypt and above"};
    Param<std::string> ciphers{set, "smtp_tls_ciphers", "medium", "cipher grade at level may"};
    Param<std::string> mandatory_ciphers{set, "smtp_tls_mandatory_ciphers", "medium",
                                         "cipher grade at level encrypt and above"};
    Param<std::vector<std::string>> excluded{set, "smtp_tls_exclude_ciphers", "",
                                             "ciphers that are never used"};
    Param<std::vector<std::string>> mandatory_excluded{set, "smtp_tls_mandatory_exclude_ciphers", "",
                                                       "more of them at level encrypt and above"};
    Param<Seconds> session_time{set, "smtp_tls_session_cache_timeout", "3600s", at_least(0),
                                "how long a session may be resumed; 0: never"};
    tls::CommonParams common{set};
};

} // namespace bulkhead
