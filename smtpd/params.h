// Every parameter that the SMTP server reads, declared once.
#pragma once

#include "sasl_params.h"
#include "tls_params.h"

#include "config/params.h"
#include "milter/settings.h"

#include <cstdint>
#include <string>
#include <vector>

namespace bulkhead
{

struct SmtpdParams : ParamSet {
    // What the postmaster is told of sessions.
    Param<std::vector<std::string>> notify_classes{this, "notify_classes", "resource, software",
                                                   "what the postmaster is told about"};
    Param<std::string> error_recipient{this, "error_notice_recipient", "postmaster",
                                       "who gets transcripts of sessions with errors"};
    Param<std::string> bounce_recipient{this, "bounce_notice_recipient", "postmaster",
                                        "who gets copies of non-delivery notices (class bounce)"};
    Param<std::string> double_bounce_sender{
        this, "double_bounce_sender", "double-bounce",
        "the sender of notices to the postmaster; mail to it is discarded"};
    Param<std::string> notice_origin{this, "myorigin", "$myhostname", "the domain of addresses without one"};
    Param<int> history_threshold{this, "smtpd_history_flush_threshold", "100", at_least(1),
                                 "lines of a session kept for the report to postmaster"};

    // The dialogue.
    Param<std::string> banner{this, "smtpd_banner", "$myhostname ESMTP $mail_name",
                              "the text behind 220; it must begin with the host name"};
    Param<Seconds> timeout{this, "smtpd_timeout", "${stress?{10}:{300}}s", at_least(1),
                           "how long to wait for the client's next command or data"};
    Param<bool> request_deadline{
        this, "smtpd_per_request_deadline",
        "${smtpd_per_record_deadline?{$smtpd_per_record_deadline}:{${stress?{yes}:{no}}}}",
        "smtpd_timeout is for a whole command or message, not for each wait"};
    Param<int> min_data_rate{this, "smtpd_min_data_rate", "500", at_least(1),
                             "bytes per second that extend the deadline of a message"};
    Param<int> line_limit{this, "line_length_limit", "2048", at_least(512),
                          "bytes of a command line, and of one piece of a text line"};
    Param<bool> helo_required{this, "smtpd_helo_required", "no", "refuse MAIL before HELO or EHLO"};
    Param<bool> vrfy_disabled{this, "disable_vrfy_command", "no", "do not offer VRFY"};
    Param<std::vector<std::string>> discarded_keywords{this, "smtpd_discard_ehlo_keywords", "",
                                                       "EHLO keywords that are not offered"};
    Param<std::string> discarded_keyword_maps{this, "smtpd_discard_ehlo_keyword_address_maps", "",
                                              "the same by client address"};
    Param<std::string> forbidden_commands{this, "smtpd_forbidden_commands",
                                          "CONNECT GET POST regexp:{{/^[^A-Z]/ Bogus}}",
                                          "commands that end the session: the client speaks no SMTP"};
    Param<std::string> noop_commands{this, "smtpd_noop_commands", "", "commands that are answered like NOOP"};
    Param<std::string> command_filter{this, "smtpd_command_filter", "",
                                      "rules that rewrite a client's commands"};
    Param<RawText> reject_footer{this, "smtpd_reject_footer", "", "text added to replies that refuse"};
    Param<std::string> reject_footer_maps{this, "smtpd_reject_footer_maps", "",
                                          "rules that choose the text added to such replies"};
    Param<bool> smtputf8{this, "smtputf8_enable", "${{$compatibility_level} <level {1} ? {no} : {yes}}",
                         "offer SMTPUTF8"};
    Param<bool> strict_utf8{this, "strict_smtputf8", "no", "accept UTF-8 only where SMTPUTF8 was asked for"};
    Param<bool> strict_envelopes{this, "strict_rfc821_envelopes", "no",
                                 "addresses of MAIL and RCPT must be in angle brackets"};
    Param<std::string> bare_newline{this, "smtpd_forbid_bare_newline", "no",
                                    "reject: refuse lines that end in LF alone; all other values "
                                    "(no, yes, normalize) read them as lines, and as nothing more"};
    Param<std::string> bare_newline_exclusions{this, "smtpd_forbid_bare_newline_exclusions", "$mynetworks",
                                               "clients that may send LF alone"};
    Param<int> bare_newline_code{this, "smtpd_forbid_bare_newline_reject_code", "550", between(500, 599),
                                 "the reply code of smtpd_forbid_bare_newline = reject"};
    Param<bool> forbid_unauth_pipelining{this, "smtpd_forbid_unauth_pipelining", "no",
                                         "disconnect clients that do not wait where they must"};
    Param<bool> soft_bounce{this, "soft_bounce", "no", "answer 4xx where 5xx is meant"};
    Param<bool> peer_names{this, "smtpd_peername_lookup", "yes", "find out the client's host name"};
    Param<bool> log_ports{this, "smtpd_client_port_logging", "no", "name the client's port in log lines"};

    // Who may speak for others.
    Param<std::string> xclient_hosts{this, "smtpd_authorized_xclient_hosts", "",
                                     "clients that may use XCLIENT"};
    Param<std::string> xforward_hosts{this, "smtpd_authorized_xforward_hosts", "",
                                      "clients that may use XFORWARD"};
    Param<std::string> verp_clients{this, "smtpd_authorized_verp_clients", "$authorized_verp_clients",
                                    "clients that may use XVERP"};
    Param<std::string> verp_delimiters{this, "default_verp_delimiters",
                                       "+=", "the delimiters of XVERP without a value"};
    Param<std::string> verp_characters{this, "verp_delimiter_filter", "-=+",
                                       "characters that may be delimiters"};
    Param<std::string> upstream_protocol{this, "smtpd_upstream_proxy_protocol", "",
                                         "haproxy: each connection begins with a PROXY header"};
    Param<Seconds> upstream_timeout{this, "smtpd_upstream_proxy_timeout", "5s", at_least(1),
                                    "how long to wait for the PROXY header"};
    Param<std::string> upstream_hosts{this, "smtpd_upstream_proxy_hosts", "",
                                      "clients whose connections may begin with a PROXY header"};

    // Filters.
    Param<std::string> content_filter{this, "content_filter", "",
                                      "transport:nexthop of a filter for all mail"};
    Param<std::string> proxy_filter{this, "smtpd_proxy_filter", "",
                                    "host and port of the before-queue filter"};
    Param<std::string> proxy_ehlo{this, "smtpd_proxy_ehlo", "$myhostname",
                                  "the name in EHLO to the before-queue filter"};
    Param<std::vector<std::string>> proxy_options{this, "smtpd_proxy_options", "",
                                                  "speed_adjust: take the whole message before the filter"};
    Param<Seconds> proxy_timeout{this, "smtpd_proxy_timeout", "100s", at_least(1),
                                 "time limit of the before-queue filter's answers"};

    Param<bool> delay_open{this, "smtpd_delay_open_until_valid_rcpt", "yes",
                           "start a message at its first good recipient only"};

    // Limits.
    Param<int> recipient_limit{this, "smtpd_recipient_limit", "1000", at_least(1),
                               "recipients accepted per message"};
    Param<int> recipient_overshoot{this, "smtpd_recipient_overshoot_limit", "1000", at_least(1),
                                   "recipients above the limit that are not counted as errors"};
    Param<int> soft_errors{this, "smtpd_soft_error_limit", "10", at_least(1),
                           "errors without a message until replies become slow"};
    Param<int> hard_errors{this, "smtpd_hard_error_limit", "${stress?{1}:{20}}", at_least(1),
                           "errors without a message until the client is disconnected"};
    Param<Seconds> error_sleep{this, "smtpd_error_sleep_time", "1s", at_least(0),
                               "the delay of replies above smtpd_soft_error_limit"};
    Param<int> junk_commands{this, "smtpd_junk_command_limit", "${stress?{1}:{100}}", at_least(1),
                             "NOOP, RSET and VRFY without a message until each counts as an error"};
    Param<int> connection_count_limit{this, "smtpd_client_connection_count_limit", "50", at_least(0),
                                      "connections of one client at a time; 0: no limit"};
    Param<int> connection_rate_limit{this, "smtpd_client_connection_rate_limit", "0", at_least(0),
                                     "connections of one client per time unit; 0: no limit"};
    Param<int> message_rate_limit{this, "smtpd_client_message_rate_limit", "0", at_least(0),
                                  "messages of one client per time unit; 0: no limit"};
    Param<int> recipient_rate_limit{this, "smtpd_client_recipient_rate_limit", "0", at_least(0),
                                    "recipients of one client per time unit; 0: no limit"};
    Param<int> new_tls_rate_limit{this, "smtpd_client_new_tls_session_rate_limit", "0", at_least(0),
                                  "new TLS sessions of one client per time unit; 0: no limit"};
    Param<int> auth_rate_limit{this, "smtpd_client_auth_rate_limit", "0", at_least(0),
                               "login attempts of one client per time unit; 0: no limit"};
    Param<std::string> limit_exceptions{this, "smtpd_client_event_limit_exceptions",
                                        "${smtpd_client_connection_limit_exceptions:$mynetworks}",
                                        "clients without these limits"};
    Param<int> ipv4_prefix{this, "smtpd_client_ipv4_prefix_length", "32", between(0, 32),
                           "IPv4 networks of this size count as one client"};
    Param<int> ipv6_prefix{this, "smtpd_client_ipv6_prefix_length", "84", between(0, 128),
                           "IPv6 networks of this size count as one client"};
    Param<std::int64_t> message_size{this, "message_size_limit", "10240000", at_least(0),
                                     "bytes of a message; 0: no limit"};
    Param<std::int64_t> minimum_free{this, "queue_minfree", "0", at_least(0),
                                     "bytes that must be free in the spool to take mail"};

    // Mail filters.
    Param<std::string> milters{this, "smtpd_milters", "", "mail filters for mail that comes by SMTP"};
    Param<std::string> milter_maps{this, "smtpd_milter_maps", "",
                                   "mail filters by client address; DISABLE: none"};
    milter::Params milter{this};

    // Access.
    Param<std::string> mynetworks{this, "mynetworks", "", "clients that may relay"};
    Param<std::vector<std::string>> inet_interfaces{this, "inet_interfaces", "all",
                                                    "our own network addresses"};
    Param<std::string> header_rewrite_clients{this, "local_header_rewrite_clients", "permit_inet_interfaces",
                                              "clients whose headers are completed"};
    Param<bool> delay_reject{this, "smtpd_delay_reject", "yes",
                             "apply client, helo and sender restrictions at RCPT"};
    Param<std::string> client_restrictions{this, "smtpd_client_restrictions", "", "who may connect"};
    Param<std::string> helo_restrictions{this, "smtpd_helo_restrictions", "", "rules for HELO and EHLO"};
    Param<std::string> sender_restrictions{this, "smtpd_sender_restrictions", "", "rules for MAIL"};
    Param<std::string> relay_restrictions{
        this, "smtpd_relay_restrictions",
        "${{$compatibility_level} <level {1} ? {} : {permit_mynetworks, permit_sasl_authenticated, "
        "defer_unauth_destination}}",
        "who may send mail to whom: protects against being an open relay"};
    Param<std::string> recipient_restrictions{this, "smtpd_recipient_restrictions", "", "rules for RCPT"};
    Param<std::string> data_restrictions{this, "smtpd_data_restrictions", "", "rules for DATA"};
    Param<std::string> end_of_data_restrictions{this, "smtpd_end_of_data_restrictions", "",
                                                "rules for the end of the message"};
    Param<std::string> etrn_restrictions{this, "smtpd_etrn_restrictions", "", "rules for ETRN"};
    Param<std::vector<std::string>> restriction_classes{
        this, "smtpd_restriction_classes", "", "names of lists of restrictions that other lists may use"};
    Param<bool> relay_before_recipient{this, "smtpd_relay_before_recipient_restrictions",
                                       "${{$compatibility_level} <level {3.6} ? {no} : {yes}}",
                                       "the order of the two lists at RCPT"};
    Param<bool> reject_unlisted_recipient{this, "smtpd_reject_unlisted_recipient", "yes",
                                          "refuse recipients that no table of their domain lists"};
    Param<bool> reject_unlisted_sender{this, "smtpd_reject_unlisted_sender", "no",
                                       "refuse senders of our domains that no table lists"};
    Param<std::string> permit_actions{this, "smtpd_log_access_permit_actions", "",
                                      "restrictions that are logged when they permit"};
    Param<std::vector<std::string>> overrides{this, "receive_override_options", "",
                                              "checks and mappings that are left out here"};
    Param<std::string> debug_peers{this, "debug_peer_list", "",
                                   "clients and networks whose sessions are logged in detail"};
    Param<std::vector<std::string>> parent_domains{
        this, "parent_domain_matches_subdomains",
        "debug_peer_list,fast_flush_domains,mynetworks,permit_mx_backup_networks,qmqpd_authorized_clients,"
        "relay_domains,smtpd_access_maps",
        "lists in which example.com also covers its subdomains"};
    Param<std::string> null_key{this, "smtpd_null_access_lookup_key", "<>",
                                "the key of the null sender in access tables"};
    Param<std::string> recipient_delimiter{this, "recipient_delimiter", "", "between user and extension"};
    Param<bool> percent_hack{this, "allow_percent_hack", "yes", "user%domain means user@domain"};
    Param<bool> bang_path{this, "swap_bangpath", "yes", "site!user means user@site"};
    Param<bool> untrusted_routing{this, "allow_untrusted_routing", "no",
                                  "accept user@domain@relay for relay domains"};

    Param<std::vector<std::string>> proxy_interfaces{this, "proxy_interfaces", "",
                                                     "addresses of proxies or NAT in front of us"};
    Param<std::string> mx_backup_networks{this, "permit_mx_backup_networks", "",
                                          "networks of the primary mail exchangers for permit_mx_backup"};
    Param<std::string> tempfail_action{this, "reject_tempfail_action", "defer_if_permit",
                                       "what a restriction does when its lookup fails for the moment"};
    Param<std::string> unknown_address_tempfail{
        this, "unknown_address_tempfail_action", "$reject_tempfail_action",
        "the same for reject_unknown_sender_domain and reject_unknown_recipient_domain"};
    Param<std::string> unknown_helo_tempfail{this, "unknown_helo_hostname_tempfail_action",
                                             "$reject_tempfail_action",
                                             "the same for reject_unknown_helo_hostname"};

    // Address probes.
    Param<std::string> verify_service{this, "address_verify_service_name", "verify",
                                      "the service that probes addresses"};
    Param<int> probe_polls{this, "address_verify_poll_count", "${stress?{1}:{3}}", at_least(1),
                           "how often a probe's result is asked for before \"try later\""};
    Param<Seconds> probe_poll_delay{this, "address_verify_poll_delay", "3s", at_least(1),
                                    "time between two such questions"};
    Param<std::string> unverified_sender_reason{this, "unverified_sender_reject_reason", "",
                                                "the text of reject_unverified_sender; empty: the probe's"};
    Param<std::string> unverified_recipient_reason{
        this, "unverified_recipient_reject_reason", "",
        "the text of reject_unverified_recipient; empty: the probe's"};
    Param<std::string> unverified_sender_tempfail{this, "unverified_sender_tempfail_action",
                                                  "$reject_tempfail_action",
                                                  "what reject_unverified_sender does without a result"};
    Param<std::string> unverified_recipient_tempfail{
        this, "unverified_recipient_tempfail_action", "$reject_tempfail_action",
        "what reject_unverified_recipient does without a result"};
    Param<int> unverified_sender_code{this, "unverified_sender_reject_code", "450", between(200, 599),
                                      "the code of reject_unverified_sender"};
    Param<int> unverified_recipient_code{this, "unverified_recipient_reject_code", "450", between(200, 599),
                                         "the code of reject_unverified_recipient"};
    Param<int> unverified_sender_defer_code{this, "unverified_sender_defer_code", "450", between(200, 499),
                                            "the code of reject_unverified_sender without a result"};
    Param<int> unverified_recipient_defer_code{this, "unverified_recipient_defer_code", "450",
                                               between(200, 499),
                                               "the code of reject_unverified_recipient without a result"};

    // The DNS, and lists in it.
    Param<std::string> dns_reply_filter{this, "smtpd_dns_reply_filter", "",
                                        "rules that drop records of the DNS"};
    Param<RawText> dns_list_reply{this, "default_rbl_reply",
                                  "$rbl_code Service unavailable; $rbl_class [$rbl_what] blocked using "
                                  "$rbl_domain${rbl_reason?; $rbl_reason}",
                                  "what is told a client that a DNS list names"};
    Param<std::string> dns_list_reply_maps{this, "rbl_reply_maps", "", "the same, for each list"};
    Param<RawText> expansion_filter{this, "smtpd_expansion_filter",
                                    "\\t\\40!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\\\]"
                                    "^_`abcdefghijklmnopqrstuvwxyz{|}~",
                                    "characters that $names may bring into such replies"};
    Param<std::vector<std::string>> old_dns_lists{this, "maps_rbl_domains", "", "lists of reject_maps_rbl"};
    Param<int> dns_list_code{this, "maps_rbl_reject_code", "554", at_least(0),
                             "the code for clients that a DNS list names"};

    // Policy servers.
    Param<Seconds> policy_timeout{this, "smtpd_policy_service_timeout", "100s", at_least(1),
                                  "time limit of a question to a policy server"};
    Param<Seconds> policy_max_idle{this, "smtpd_policy_service_max_idle", "300s", at_least(1),
                                   "a connection without questions is closed after this time"};
    Param<Seconds> policy_max_ttl{this, "smtpd_policy_service_max_ttl", "1000s", at_least(1),
                                  "a connection is used for this time"};
    Param<int> policy_request_limit{this, "smtpd_policy_service_request_limit", "0", at_least(0),
                                    "questions over one connection; 0: no limit"};
    Param<int> policy_try_limit{this, "smtpd_policy_service_try_limit", "2", at_least(1),
                                "attempts to get an answer"};
    Param<Seconds> policy_retry_delay{this, "smtpd_policy_service_retry_delay", "1s", at_least(1),
                                      "time between two attempts"};
    Param<std::string> policy_default_action{this, "smtpd_policy_service_default_action",
                                             "451 4.3.5 Server configuration problem",
                                             "the action when there is no answer"};
    Param<std::string> policy_context{this, "smtpd_policy_service_policy_context", "",
                                      "the attribute policy_context of each question"};
    Param<std::string> level{this, "compatibility_level", "0",
                             "the release whose defaults are wanted where they have changed"};
    Param<std::string> stress{this, "stress", "", "set by the master when a service is overloaded"};

    // Which recipients exist.
    Param<std::string> local_recipients{this, "local_recipient_maps", "proxy:unix:passwd.byname $alias_maps",
                                        "recipients of local domains; empty: all"};
    Param<std::string> alias_recipients{this, "virtual_alias_maps", "$virtual_maps",
                                        "addresses that stand for others"};
    Param<std::string> mailbox_recipients{this, "virtual_mailbox_maps", "",
                                          "recipients of virtual mailbox domains; empty: all"};
    Param<std::string> relay_recipients{this, "relay_recipient_maps", "",
                                        "recipients of relay domains; empty: all"};
    Param<std::string> canonical_maps{this, "canonical_maps", "", "addresses that are rewritten"};
    Param<std::string> recipient_canonical_maps{this, "recipient_canonical_maps", "",
                                                "recipients that are rewritten"};
    Param<bool> show_table_name{this, "show_user_unknown_table_name", "yes",
                                "name the table in \"User unknown in ... table\""};

    // Reply codes.
    Param<int> reject_code{this, "reject_code", "554", at_least(0), "the code of reject"};
    Param<int> defer_code{this, "defer_code", "450", at_least(0), "the code of defer"};
    Param<int> relay_code{this, "relay_domains_reject_code", "554", at_least(0),
                          "the code of reject_unauth_destination"};
    Param<int> access_reject_code{this, "access_map_reject_code", "554", at_least(0),
                                  "the code of REJECT in access tables"};
    Param<int> access_defer_code{this, "access_map_defer_code", "450", at_least(0),
                                 "the code of DEFER in access tables"};
    Param<int> non_fqdn_code{this, "non_fqdn_reject_code", "504", at_least(0),
                             "the code of reject_non_fqdn_*"};
    Param<int> invalid_name_code{this, "invalid_hostname_reject_code", "501", at_least(0),
                                 "the code of reject_invalid_helo_hostname"};
    Param<int> plaintext_code{this, "plaintext_reject_code", "450", at_least(0),
                              "the code of reject_plaintext_session"};
    Param<int> unknown_client_code{this, "unknown_client_reject_code", "450", at_least(0),
                                   "the code of reject_unknown_client_hostname"};
    Param<int> unknown_hostname_code{this, "unknown_hostname_reject_code", "450", at_least(0),
                                     "the code of reject_unknown_helo_hostname"};
    Param<int> unknown_address_code{this, "unknown_address_reject_code", "450", at_least(0),
                                    "the code of reject_unknown_sender_domain and its like"};
    Param<int> multi_bounce_code{this, "multi_recipient_bounce_reject_code", "550", at_least(0),
                                 "the code of reject_multi_recipient_bounce"};
    Param<int> unknown_local_code{this, "unknown_local_recipient_reject_code", "550", at_least(0),
                                  "the code for recipients not in local_recipient_maps"};
    Param<int> unknown_alias_code{this, "unknown_virtual_alias_reject_code", "550", at_least(0),
                                  "the code for recipients not in virtual_alias_maps"};
    Param<int> unknown_mailbox_code{this, "unknown_virtual_mailbox_reject_code", "550", at_least(0),
                                    "the code for recipients not in virtual_mailbox_maps"};
    Param<int> unknown_relay_code{this, "unknown_relay_recipient_reject_code", "550", at_least(0),
                                  "the code for recipients not in relay_recipient_maps"};

    SmtpdTlsParams tls{this};
    SmtpdSaslParams sasl{this};
    Param<std::string> sender_logins{this, "smtpd_sender_login_maps", "",
                                     "which logins own which sender addresses"};
    Param<std::string> client_certificates{this, "relay_clientcerts", "",
                                           "fingerprints of certificates whose owners may relay"};

    // Other workers and commands.
    Param<std::string> cleanup_service{this, "cleanup_service_name", "cleanup",
                                       "the service that takes mail"};
    Param<std::string> rewrite_service{this, "rewrite_service_name", "rewrite",
                                       "the service that resolves addresses"};
    Param<std::string> flush_service{this, "flush_service_name", "flush",
                                     "the service that keeps lists of waiting mail"};
    Param<std::string> command_directory{this, "command_directory", "/usr/sbin",
                                         "where postdrop is, for smtpd -S"};
};

} // namespace bulkhead
