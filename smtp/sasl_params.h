// The parameters of logins at servers: a part of SmtpParams.
#pragma once

#include "config/params.h"

#include <string>
#include <vector>

namespace bulkhead
{

struct SmtpSaslParams {
    explicit SmtpSaslParams(ParamSet* owner) : set(owner) {}

    ParamSet* set;
    Param<bool> enable{set, "smtp_sasl_auth_enable", "no", "log in to servers"};
    Param<std::string> type{set, "smtp_sasl_type", "cyrus", "gsasl; cyrus means the same here"};
    Param<std::string> password_maps{set, "smtp_sasl_password_maps", "",
                                     "user:password by sender, server or next hop"};
    Param<std::string> delimiter{set, "smtp_sasl_password_result_delimiter", ":",
                                 "between user name and password in smtp_sasl_password_maps"};
    Param<bool> by_sender{set, "smtp_sender_dependent_authentication", "no",
                          "look up passwords by the envelope sender first"};
    Param<std::string> mechanism_filter{set, "smtp_sasl_mechanism_filter", "",
                                        "login mechanisms that are used; empty: all"};
    Param<std::vector<std::string>> security{set, "smtp_sasl_security_options", "noplaintext, noanonymous",
                                             "properties that login mechanisms must have"};
    Param<std::vector<std::string>> tls_security{set, "smtp_sasl_tls_security_options",
                                                 "$smtp_sasl_security_options", "the same within TLS"};
    Param<std::vector<std::string>> verified_security{set, "smtp_sasl_tls_verified_security_options",
                                                      "$smtp_sasl_tls_security_options",
                                                      "the same within TLS to a verified server"};
    Param<std::string> cache_name{set, "smtp_sasl_auth_cache_name", "",
                                  "where refused logins are remembered"};
    Param<Seconds> cache_time{set, "smtp_sasl_auth_cache_time", "90d", at_least(0),
                              "how long a refused login is remembered"};
    Param<bool> soft_bounce{set, "smtp_sasl_auth_soft_bounce", "yes",
                            "a refused login defers mail instead of returning it"};
};

} // namespace bulkhead
