// Every parameter that postscreen reads, declared once.
#pragma once

#include "config/params.h"
#include "tls/own_server.h"

#include <string>
#include <vector>

namespace bulkhead
{

struct PostscreenParams : ParamSet {
    // Who is let in, turned away or tested.
    Param<std::string> access_list{this, "postscreen_access_list", "permit_mynetworks",
                                   "clients that are let in or turned away without tests"};
    Param<std::string> denylist_action{
        this, "postscreen_denylist_action",
        "${postscreen_blacklist_action?{$postscreen_blacklist_action}:{ignore}}",
        "what to do with clients that postscreen_access_list rejects"};
    Param<std::string> mynetworks{this, "mynetworks", "", "the clients that may relay"};
    Param<std::string> allowlist_interfaces{
        this, "postscreen_allowlist_interfaces",
        "${postscreen_whitelist_interfaces?{$postscreen_whitelist_interfaces}:{static:all}}",
        "our addresses at which clients can pass the tests"};

    // What is remembered.
    Param<std::string> cache_map{this, "postscreen_cache_map", "btree:$data_directory/postscreen_cache",
                                 "the database of test results"};
    Param<Seconds> cleanup_interval{this, "postscreen_cache_cleanup_interval", "12h", at_least(0).in('h'),
                                    "time between two removals of expired test results; 0: never"};
    Param<Seconds> retention_time{this, "postscreen_cache_retention_time", "7d", at_least(1).in('d'),
                                  "how long an expired test result is kept"};

    // Before the greeting.
    Param<Seconds> greet_wait{this, "postscreen_greet_wait", "${stress?{2}:{6}}s", at_least(1),
                              "how long clients have to wait for the greeting"};
    Param<std::string> greet_banner{this, "postscreen_greet_banner", "$smtpd_banner",
                                    "the text of the teaser before the real greeting; empty: no teaser"};
    Param<std::string> greet_action{this, "postscreen_greet_action", "ignore",
                                    "what to do with clients that speak before their turn"};
    Param<Seconds> greet_ttl{this, "postscreen_greet_ttl", "1d", at_least(1).in('d'),
                             "how long a passed greeting test counts"};
    Param<std::vector<std::string>> dnsbl_sites{this, "postscreen_dnsbl_sites", "",
                                                "block and allow lists with their weights"};
    Param<int> dnsbl_threshold{this, "postscreen_dnsbl_threshold", "1", at_least(1),
                               "the score from which a client is blocked"};
    Param<int> dnsbl_allowlist_threshold{
        this, "postscreen_dnsbl_allowlist_threshold",
        "${postscreen_dnsbl_whitelist_threshold?{$postscreen_dnsbl_whitelist_threshold}:{0}}",
        "a score this low lets a client skip the other tests; 0: never"};
    Param<std::string> dnsbl_action{this, "postscreen_dnsbl_action", "ignore",
                                    "what to do with clients whose block list score is too high"};
    Param<std::string> dnsbl_reply_map{this, "postscreen_dnsbl_reply_map", "",
                                       "the list names that clients get to see"};
    Param<Seconds> dnsbl_min_ttl{this, "postscreen_dnsbl_min_ttl", "60s", at_least(1),
                                 "a block list result counts at least this long"};
    Param<Seconds> dnsbl_max_ttl{this, "postscreen_dnsbl_max_ttl",
                                 "${postscreen_dnsbl_ttl?{$postscreen_dnsbl_ttl}:{1}}h", at_least(1).in('h'),
                                 "a block list result counts at most this long"};
    Param<Seconds> dnsbl_timeout{this, "postscreen_dnsbl_timeout", "10s", at_least(1),
                                 "time limit of block list lookups"};

    // Behind the greeting.
    Param<bool> pipelining_enable{this, "postscreen_pipelining_enable", "no",
                                  "test for commands that are sent without waiting for replies"};
    Param<std::string> pipelining_action{this, "postscreen_pipelining_action", "enforce",
                                         "what to do with clients that do not wait for replies"};
    Param<Seconds> pipelining_ttl{this, "postscreen_pipelining_ttl", "30d", at_least(1).in('d'),
                                  "how long a passed pipelining test counts"};
    Param<bool> non_smtp_enable{this, "postscreen_non_smtp_command_enable", "no",
                                "test for commands of other protocols"};
    Param<std::string> non_smtp_action{this, "postscreen_non_smtp_command_action", "drop",
                                       "what to do with clients that speak another protocol"};
    Param<Seconds> non_smtp_ttl{this, "postscreen_non_smtp_command_ttl", "30d", at_least(1).in('d'),
                                "how long a passed test for other protocols counts"};
    Param<bool> bare_newline_enable{this, "postscreen_bare_newline_enable", "no",
                                    "test for lines that end with LF alone"};
    Param<std::string> bare_newline_action{this, "postscreen_bare_newline_action", "ignore",
                                           "what to do with clients that end lines with LF alone"};
    Param<Seconds> bare_newline_ttl{this, "postscreen_bare_newline_ttl", "30d", at_least(1).in('d'),
                                    "how long a passed bare newline test counts"};

    // The dialogue with those that are not let in.
    Param<std::string> banner{this, "smtpd_banner", "$myhostname ESMTP $mail_name",
                              "the text behind 220; it must begin with the host name"};
    Param<bool> helo_required{this, "postscreen_helo_required", "$smtpd_helo_required",
                              "refuse MAIL before HELO or EHLO"};
    Param<bool> disable_vrfy{this, "postscreen_disable_vrfy_command", "$disable_vrfy_command",
                             "do not offer VRFY"};
    Param<std::vector<std::string>> discarded_keywords{this, "postscreen_discard_ehlo_keywords",
                                                       "$smtpd_discard_ehlo_keywords",
                                                       "EHLO keywords that are not offered"};
    Param<std::string> discarded_keyword_maps{this, "postscreen_discard_ehlo_keyword_address_maps",
                                              "$smtpd_discard_ehlo_keyword_address_maps",
                                              "EHLO keywords that are not offered, by client address"};
    Param<std::string> command_filter{this, "postscreen_command_filter", "",
                                      "rules that rewrite a client's commands"};
    Param<std::string> forbidden_commands{this, "postscreen_forbidden_commands", "$smtpd_forbidden_commands",
                                          "commands of protocols other than SMTP"};
    Param<RawText> reject_footer{this, "postscreen_reject_footer", "$smtpd_reject_footer",
                                 "text added to replies that refuse"};
    Param<std::string> reject_footer_maps{this, "postscreen_reject_footer_maps", "$smtpd_reject_footer_maps",
                                          "text added to replies that refuse, by reply"};
    Param<RawText> expansion_filter{this, "postscreen_expansion_filter", "$smtpd_expansion_filter",
                                    "characters that expansion leaves in replies"};
    Param<int> command_count_limit{this, "postscreen_command_count_limit", "20", at_least(1),
                                   "commands that a client may send to postscreen"};
    Param<Seconds> command_time_limit{this, "postscreen_command_time_limit", "${stress?{10}:{300}}s",
                                      at_least(1), "time limit of a command to postscreen"};
    Param<int> line_limit{this, "line_length_limit", "2048", at_least(512),
                          "bytes of a command line, and of one piece of a text line"};
    Param<std::int64_t> size_limit{this, "message_size_limit", "10240000", at_least(0),
                                   "bytes of a message; 0: no limit"};
    Param<bool> smtputf8{this, "smtputf8_enable", "${{$compatibility_level} <level {1} ? {no} : {yes}}",
                         "support for addresses and headers in UTF-8"};
    Param<bool> strict_envelopes{this, "strict_rfc821_envelopes", "no",
                                 "addresses of MAIL and RCPT must be in angle brackets"};

    // Its encryption: as smtpd has it.
    Param<std::string> tls_level{this, "postscreen_tls_security_level", "$smtpd_tls_security_level",
                                 "none, may or encrypt"};
    Param<bool> use_tls{this, "postscreen_use_tls", "$smtpd_use_tls", "the older way to offer TLS"};
    Param<bool> enforce_tls{this, "postscreen_enforce_tls", "$smtpd_enforce_tls",
                            "the older way to demand TLS of clients"};
    Param<Seconds> starttls_timeout{this, "smtpd_starttls_timeout", "${stress?{10}:{300}}s", at_least(1),
                                    "how long a TLS handshake may take"};
    tls::ServerParams tls{this};

    // Levels of clients, and words that mean nothing, are taken for encrypt.
    tls::Level level() const
    {
        if (tls_level().empty())
            return enforce_tls() ? tls::Level::encrypt : use_tls() ? tls::Level::may : tls::Level::none;
        const auto level = tls::parse_level(tls_level());
        return level && !tls::is_verified(*level) ? *level : tls::Level::encrypt;
    }

    // How much of it at once.
    Param<int> connection_count_limit{this, "postscreen_client_connection_count_limit",
                                      "$smtpd_client_connection_count_limit", at_least(0),
                                      "connections of one client at a time"};
    Param<int> pre_queue_limit{this, "postscreen_pre_queue_limit", "$default_process_limit", at_least(10),
                               "clients that are tested at a time"};
    Param<int> post_queue_limit{this, "postscreen_post_queue_limit", "$default_process_limit", at_least(5),
                                "clients that wait for smtpd at a time"};

    // Where clients come from and go to.
    Param<std::string> upstream_protocol{this, "postscreen_upstream_proxy_protocol", "",
                                         "haproxy: each connection begins with a PROXY header"};
    Param<Seconds> upstream_timeout{this, "postscreen_upstream_proxy_timeout", "5s", at_least(1),
                                    "how long to wait for the PROXY header"};
    Param<std::string> smtpd_service{this, "smtpd_service_name", "smtpd",
                                     "the service to which postscreen hands clients"};
    Param<bool> respectful_logging{this, "respectful_logging",
                                   "${{$compatibility_level} <level {3.6} ? {no} : {yes}}",
                                   "log allowlist and denylist instead of the older words"};
};

} // namespace bulkhead
