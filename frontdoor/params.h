// Every parameter that the front door reads, declared once.
#pragma once

#include "config/params.h"
#include "tls/own_server.h"

#include <string>
#include <vector>

namespace bulkhead
{

struct FrontDoorParams : ParamSet {
    // Who gets a session.
    Param<std::string> listener_maps{this, "frontdoor_listener_maps", "",
                                     "which environment gets a client, by the address it has connected to"};
    Param<std::string> client_maps{this, "frontdoor_client_maps", "",
                                   "which environment gets a client, by its address"};
    Param<std::string> sni_maps{this, "frontdoor_sni_maps", "",
                                "which environment gets a client, by the server name in its TLS greeting"};
    Param<std::string> login_maps{this, "frontdoor_login_maps", "",
                                  "which environment gets a client, by its login name"};
    Param<std::string> sender_maps{this, "frontdoor_sender_maps", "",
                                   "which environment gets a message, by its sender"};
    Param<std::string> recipient_maps{this, "frontdoor_recipient_maps", "",
                                      "which environment gets a message, by its recipient"};
    Param<std::string> default_environment{this, "frontdoor_default_environment", "",
                                           "the environment of clients that no frontdoor table knows"};
    Param<Seconds> handover_timeout{this, "frontdoor_handover_timeout", "10s", at_least(1),
                                    "how long an environment may take to accept a session"};
    Param<std::vector<std::string>> mechanisms{
        this, "frontdoor_sasl_mechanisms", "PLAIN, LOGIN",
        "login mechanisms that are offered while the environment is not known"};
    Param<std::string> name{this, "multi_instance_name", "", "the name of this environment"};

    // The dialogue before that: as smtpd has it.
    Param<std::string> banner{this, "smtpd_banner", "$myhostname ESMTP $mail_name",
                              "the text behind 220; it must begin with the host name"};
    Param<Seconds> timeout{this, "smtpd_timeout", "${stress?{10}:{300}}s", at_least(1),
                           "how long to wait for the client's next command or data"};
    Param<int> line_limit{this, "line_length_limit", "2048", at_least(512),
                          "bytes of a command line, and of one piece of a text line"};
    Param<int> hard_errors{this, "smtpd_hard_error_limit", "${stress?{1}:{20}}", at_least(1),
                           "errors without a message until the client is disconnected"};
    Param<int> junk_commands{this, "smtpd_junk_command_limit", "${stress?{1}:{100}}", at_least(1),
                             "NOOP, RSET and VRFY without a message until each counts as an error"};
    Param<std::vector<std::string>> discarded_keywords{this, "smtpd_discard_ehlo_keywords", "",
                                                       "EHLO keywords that are not offered"};
    Param<bool> strict_envelopes{this, "strict_rfc821_envelopes", "no",
                                 "addresses of MAIL and RCPT must be in angle brackets"};
    Param<std::string> forbidden_commands{this, "smtpd_forbidden_commands",
                                          "CONNECT GET POST regexp:{{/^[^A-Z]/ Bogus}}",
                                          "commands that end the session: the client speaks no SMTP"};
    Param<std::string> xclient_hosts{this, "smtpd_authorized_xclient_hosts", "",
                                     "clients that may use XCLIENT"};
    Param<std::string> upstream_protocol{this, "smtpd_upstream_proxy_protocol", "",
                                         "haproxy: each connection begins with a PROXY header"};
    Param<Seconds> upstream_timeout{this, "smtpd_upstream_proxy_timeout", "5s", at_least(1),
                                    "how long to wait for the PROXY header"};
    Param<std::string> upstream_hosts{this, "smtpd_upstream_proxy_hosts", "",
                                      "clients whose connections may begin with a PROXY header"};
    Param<int> connection_count_limit{this, "smtpd_client_connection_count_limit", "50", at_least(0),
                                      "connections of one client at a time; 0: no limit"};
    Param<std::string> limit_exceptions{this, "smtpd_client_event_limit_exceptions",
                                        "${smtpd_client_connection_limit_exceptions:$mynetworks}",
                                        "clients without these limits"};

    // Encryption of sessions that are decided later than that.
    Param<std::string> tls_level{this, "smtpd_tls_security_level", "", "none, may or encrypt"};
    Param<bool> auth_only{this, "smtpd_tls_auth_only", "no", "offer AUTH inside TLS only"};
    Param<Seconds> starttls_timeout{this, "smtpd_starttls_timeout", "${stress?{10}:{300}}s", at_least(1),
                                    "how long a TLS handshake may take"};
    tls::ServerParams tls{this};

    tls::Level level() const { return tls::parse_level(tls_level()).value_or(tls::Level::none); }
};

} // namespace bulkhead
