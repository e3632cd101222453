// Parameters of the SMTP client.  Those that every delivery agent has are in
// worker/delivery_agent.h; scheduling limits (smtp_destination_...) are qmgr's.
#pragma once

#include "sasl_params.h"
#include "tls_params.h"

#include "config/params.h"

#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

// The other value of smtp_address_verify_target is "rcpt".
inline constexpr std::string_view verify_until_data = "data";

// The client speaks two protocols that differ in a few places: the program's name decides.
enum class Protocol { smtp, lmtp };

// "smtp_helo_name" -> "lmtp_lhlo_name": how LMTP's parameters are called.
std::string lmtp_name(std::string_view smtp_name);

struct SmtpParams : ParamSet {
    explicit SmtpParams(Protocol spoken = Protocol::smtp)
        : ParamSet(spoken == Protocol::lmtp ? lmtp_name : nullptr), protocol(spoken)
    {
    }

    const Protocol protocol;
    bool is_lmtp() const { return protocol == Protocol::lmtp; }

    // Who to try.
    Param<std::string> tcp_port{this, "smtp_tcp_port", "smtp", "the port of next hops that name none"};
    Param<std::string> dns_support_level{this, "smtp_dns_support_level", "", "disabled, enabled or dnssec"};
    Param<std::string> trust_anchor_file{this, "dnssec_trust_anchor_file", "",
                                         "keys that DNSSEC begins with; empty: the root's, as installed"};
    Param<bool> disable_dns_lookups{this, "disable_dns_lookups", "no",
                                    "the old way to say smtp_dns_support_level = disabled"};
    Param<std::vector<std::string>> host_lookup{this, "smtp_host_lookup", "dns",
                                                "how to find addresses: dns, native, or both in this order"};
    Param<std::string> address_preference{this, "smtp_address_preference", "any",
                                          "ipv4, ipv6 or any first among hosts of one preference"};
    Param<bool> balance_protocols{this, "smtp_balance_inet_protocols", "yes",
                                  "let both IP versions have a part in the address limit"};
    Param<bool> randomize{this, "smtp_randomize_addresses", "yes", "shuffle hosts of one preference"};
    Param<int> address_limit{this, "smtp_mx_address_limit", "5", at_least(0),
                             "addresses of mail exchangers to try; 0: all"};
    Param<int> session_limit{this, "smtp_mx_session_limit", "2", at_least(0),
                             "hosts to speak with for one delivery; 0: all"};
    Param<std::string> dns_reply_filter{this, "smtp_dns_reply_filter", "",
                                        "rules that drop records of the DNS"};
    Param<bool> defer_without_mx_address{this, "smtp_defer_if_no_mx_address_found", "no",
                                         "defer when no mail exchanger has an address"};
    Param<bool> ignore_mx_lookup_error{this, "ignore_mx_lookup_error", "no",
                                       "use the address of a domain whose MX lookup fails"};
    Param<std::vector<std::string>> srv_services{this, "use_srv_lookup", "",
                                                 "services whose servers are found by SRV records"};
    Param<bool> srv_fallback{this, "allow_srv_lookup_fallback", "no",
                             "use MX records where a domain has no SRV records"};
    Param<bool> ignore_srv_error{this, "ignore_srv_lookup_error", "no",
                                 "use MX records where SRV lookup fails"};
    Param<std::vector<std::string>> resolver_options{
        this, "smtp_dns_resolver_options", "", "how short names are completed: res_defnames, res_dnsrch"};
    Param<bool> cname_is_name{this, "smtp_cname_overrides_servername", "no",
                              "after a CNAME the new name is the server's name for logs, TLS and SASL"};
    Param<std::string> best_mx_transport{this, "best_mx_transport", "",
                                         "the transport of mail whose best mail exchanger we are"};
    Param<std::vector<std::string>> fallback_relay{this, "smtp_fallback_relay", "$fallback_relay",
                                                   "next hops to try when all else fails"};
    Param<std::string> inet_interfaces{this, "inet_interfaces", "all", "our own addresses"};
    Param<std::string> proxy_interfaces{this, "proxy_interfaces", "", "addresses by which others reach us"};
    Param<std::string> inet_protocols{this, "inet_protocols", "all", "all, ipv4 or ipv6"};

    // What is changed on the way out.
    Param<std::string> header_checks{this, "smtp_header_checks", "", "rules for headers of outgoing mail"};
    Param<std::string> mime_header_checks{this, "smtp_mime_header_checks", "",
                                          "rules for headers of MIME parts of outgoing mail"};
    Param<std::string> nested_header_checks{this, "smtp_nested_header_checks", "",
                                            "rules for headers of attached messages"};
    Param<std::string> body_checks{this, "smtp_body_checks", "", "rules for lines of outgoing mail"};
    Param<std::string> generic_maps{this, "smtp_generic_maps", "",
                                    "addresses that the outside knows by another name"};
    Param<bool> disable_mime{this, "disable_mime_input_processing", "no", "take a message for one body"};
    Param<int> header_size_limit{this, "header_size_limit", "102400", at_least(1),
                                 "bytes of one header that rules can change"};
    Param<int> header_address_limit{this, "header_address_token_limit", "10240", at_least(1),
                                    "addresses of one header; a longer one is left as it is"};
    Param<int> mime_nesting_limit{this, "mime_nesting_limit", "100", at_least(1),
                                  "how deep MIME parts are followed"};
    Param<int> mime_boundary_limit{this, "mime_boundary_length_limit", "2048", at_least(1),
                                   "bytes of a MIME boundary that tell it from others"};
    Param<std::string> mydestination{this, "mydestination", "$myhostname, localhost.$mydomain, localhost",
                                     "domains whose users smtp_generic_maps name without domain"};
    Param<std::string> myorigin{this, "myorigin", "$myhostname", "likewise"};
    Param<std::string> recipient_delimiter{this, "recipient_delimiter", "",
                                           "between user name and extension"};
    Param<std::vector<std::string>> propagate_extensions{
        this, "propagate_unmatched_extensions", "canonical, virtual",
        "mappings that keep an extension which the key did not have"};

    Param<std::string> status_filter{this, "smtp_delivery_status_filter", "$default_delivery_status_filter",
                                     "rules that replace the status of deliveries"};

    // The connection.
    Param<std::string> bind_address{this, "smtp_bind_address", "", "local IPv4 address of connections"};
    Param<std::string> bind_address6{this, "smtp_bind_address6", "", "local IPv6 address of connections"};
    Param<bool> bind_address_enforce{this, "smtp_bind_address_enforce", "no",
                                     "defer when the local address cannot be had"};
    Param<std::string> proxy_header{
        this, "smtp_proxy_header", "",
        "the PROXY header that begins each connection: v1, v2, or empty for none"};
    Param<Seconds> connect_timeout{this, "smtp_connect_timeout", "30s", at_least(0),
                                   "time limit of connecting; 0: the system's"};
    Param<std::string> known_ports{this, "known_tcp_ports",
                                   "lmtp=24, smtp=25, smtps=submissions=465, submission=587",
                                   "port names that need no lookup in /etc/services"};
    Param<int> tcp_window{this, "tcp_windowsize", "0", at_least(0),
                          "the TCP window to ask for; 0: the system's"};
    Param<bool> cache_on_demand{this, "smtp_connection_cache_on_demand", "yes",
                                "keep TCP connections for a short time"};
    Param<std::vector<std::string>> cache_destinations{this, "smtp_connection_cache_destinations", "",
                                                       "next hops whose connections are always kept"};
    Param<Seconds> cache_time{this, "smtp_connection_cache_time_limit", "2s", at_least(1),
                              "how long a connection is kept without use"};
    Param<Seconds> cache_limit{this, "connection_cache_ttl_limit", "2s", at_least(1),
                               "no connection is kept longer than this without use"};
    Param<Seconds> reuse_time{this, "smtp_connection_reuse_time_limit", "300s", at_least(1),
                              "how long a connection is used"};
    Param<int> reuse_count{this, "smtp_connection_reuse_count_limit", "0", at_least(0),
                           "how often a connection is used; 0: no limit"};

    // The dialogue.
    Param<bool> assume_final{this, "lmtp_assume_final", "no",
                             "a server without DSN delivers for good: say so to the sender"};
    Param<std::string> helo_name{this, "smtp_helo_name", "$myhostname", "the name in EHLO"};
    Param<bool> always_ehlo{this, "smtp_always_send_ehlo", "yes", "EHLO whatever the greeting says"};
    Param<bool> never_ehlo{this, "smtp_never_send_ehlo", "no", "HELO only"};
    Param<bool> skip_5xx_greeting{this, "smtp_skip_5xx_greeting", "yes",
                                  "try the next host after a 5xx greeting"};
    Param<bool> skip_quit_response{this, "smtp_skip_quit_response", "yes",
                                   "do not wait for the reply to QUIT"};
    Param<std::string> discard_maps{this, "smtp_discard_ehlo_keyword_address_maps", "",
                                    "EHLO words to overlook by server address"};
    Param<std::string> reply_filter{this, "smtp_reply_filter", "",
                                    "tables that change a server's replies, line by line"};
    Param<std::vector<std::string>> pix_workarounds{this, "smtp_pix_workarounds",
                                                    "disable_esmtp,delay_dotcrlf",
                                                    "what to do about a PIX firewall's greeting"};
    Param<std::string> pix_maps{this, "smtp_pix_workaround_maps", "", "the same by server address"};
    Param<Seconds> pix_threshold{this, "smtp_pix_workaround_threshold_time", "500s", at_least(0),
                                 "for mail that has waited so long"};
    Param<Seconds> pix_delay{this, "smtp_pix_workaround_delay_time", "10s", at_least(1),
                             "the pause of delay_dotcrlf"};
    Param<bool> send_xforward{this, "smtp_send_xforward_command", "no",
                              "tell servers that offer XFORWARD who our client was"};
    Param<Seconds> xforward_timeout{this, "smtp_xforward_timeout", "300s", at_least(1),
                                    "time limit of XFORWARD"};
    Param<bool> dummy_auth{this, "smtp_send_dummy_mail_auth", "no", "AUTH=<> in MAIL after a login"};
    Param<bool> quote_envelope{this, "smtp_quote_rfc821_envelope", "yes",
                               "quote addresses in MAIL FROM and RCPT TO"};
    Param<bool> keep_8bit{this, "disable_mime_output_conversion", "no",
                          "send 8-bit text as it is to servers without 8BITMIME"};
    Param<bool> per_request_deadline{
        this, "smtp_per_request_deadline", "${smtp_per_record_deadline?{$smtp_per_record_deadline}:{no}}",
        "one time limit for the whole text, as smtp_min_data_rate allows, instead of one for each block"};
    Param<int> min_data_rate{this, "smtp_min_data_rate", "500", at_least(1),
                             "bytes per second that extend the time limit of the text"};
    Param<std::vector<std::string>> discard_ehlo_keywords{this, "smtp_discard_ehlo_keywords", "",
                                                          "EHLO words to overlook"};
    Param<int> line_length_limit{this, "smtp_line_length_limit", "998", at_least(0),
                                 "break longer lines; 0: never"};
    Param<Seconds> helo_timeout{this, "smtp_helo_timeout", "300s", at_least(1),
                                "time limit of greeting and EHLO"};
    Param<Seconds> mail_timeout{this, "smtp_mail_timeout", "300s", at_least(1), "time limit of MAIL FROM"};
    Param<Seconds> rcpt_timeout{this, "smtp_rcpt_timeout", "300s", at_least(1), "time limit of RCPT TO"};
    Param<Seconds> data_init_timeout{this, "smtp_data_init_timeout", "120s", at_least(1),
                                     "time limit of DATA"};
    Param<Seconds> data_xfer_timeout{this, "smtp_data_xfer_timeout", "180s", at_least(1),
                                     "time limit of each block of content"};
    Param<Seconds> data_done_timeout{this, "smtp_data_done_timeout", "600s", at_least(1),
                                     "time limit of the end of DATA"};
    Param<Seconds> rset_timeout{this, "smtp_rset_timeout", "20s", at_least(1), "time limit of RSET"};
    Param<Seconds> quit_timeout{this, "smtp_quit_timeout", "300s", at_least(1), "time limit of QUIT"};

    Param<std::string> verify_target{this, "smtp_address_verify_target", "rcpt",
                                     "the command up to which an address probe goes: rcpt or data"};

    // Sessions that the log tells more of.
    Param<std::string> debug_peers{this, "debug_peer_list", "",
                                   "next hops, hosts and networks whose sessions are logged in detail"};
    Param<int> debug_level{this, "debug_peer_level", "2", at_least(1), "how much more is logged of them"};
    Param<std::vector<std::string>> parent_domains{
        this, "parent_domain_matches_subdomains",
        "debug_peer_list,fast_flush_domains,mynetworks,permit_mx_backup_networks,qmqpd_authorized_clients,"
        "relay_domains,smtpd_access_maps",
        "lists in which example.com also covers its subdomains"};

    // What the postmaster is told of sessions.
    Param<std::vector<std::string>> notify_classes{this, "notify_classes", "resource, software",
                                                   "what the postmaster is told about"};
    Param<std::string> error_recipient{this, "error_notice_recipient", "postmaster",
                                       "who gets transcripts of sessions with errors"};
    Param<std::string> double_bounce_sender{
        this, "double_bounce_sender", "double-bounce",
        "the sender of notices to the postmaster; mail to it is discarded"};
    Param<std::string> cleanup_service{this, "cleanup_service_name", "cleanup",
                                       "the service that takes notices to the postmaster"};

    SmtpTlsParams tls{this};
    Param<Seconds> minimal_backoff{this, "minimal_backoff_time", "300s", at_least(1),
                                   "mail that has waited so long may go in clear after a failed handshake at "
                                   "level may"};

    SmtpSaslParams sasl{this};
};

} // namespace bulkhead
