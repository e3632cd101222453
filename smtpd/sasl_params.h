// The parameters of logins: a part of SmtpdParams.
#pragma once

#include "config/params.h"

#include <string>
#include <vector>

namespace bulkhead
{

struct SmtpdSaslParams {
    explicit SmtpdSaslParams(ParamSet* owner) : set(owner) {}

    ParamSet* set;
    Param<bool> enable{set, "smtpd_sasl_auth_enable", "no", "let clients log in"};
    Param<std::string> type{set, "smtpd_sasl_type", "cyrus",
                            "dovecot: ask the service of smtpd_sasl_path; else (cyrus, gsasl) saslauth"};
    Param<std::string> path{set, "smtpd_sasl_path", "smtpd",
                            "type dovecot: the service's socket, path or inet:host:port"};
    Param<std::string> service{set, "smtpd_sasl_service", "smtp", "the service name that SASL is told"};
    Param<bool> broken_clients{set, "broken_sasl_auth_clients", "no",
                               "also offer AUTH= for very old mail programs"};
    Param<bool> header{set, "smtpd_sasl_authenticated_header", "no", "name the login in Received:"};
    Param<std::string> exceptions{set, "smtpd_sasl_exceptions_networks", "",
                                  "clients that are not offered AUTH"};
    Param<std::string> mechanism_filter{set, "smtpd_sasl_mechanism_filter", "!external, static:rest",
                                        "login mechanisms that are offered"};
    Param<int> response_limit{set, "smtpd_sasl_response_limit", "12288", at_least(0),
                              "bytes of a client's answer in a login, at least 12288 (RFC 4954)"};
    Param<std::vector<std::string>> security{set, "smtpd_sasl_security_options", "noanonymous",
                                             "properties that login mechanisms must have"};
    Param<std::vector<std::string>> tls_security{set, "smtpd_sasl_tls_security_options",
                                                 "$smtpd_sasl_security_options", "the same within TLS"};
};

} // namespace bulkhead
