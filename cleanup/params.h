// The parameters of cleanup.
#pragma once

#include "config/params.h"
#include "milter/settings.h"

namespace bulkhead
{

struct CleanupParams : ParamSet {
    using Names = std::vector<std::string>;

    // ---- limits ----
    Param<std::int64_t> message_size_limit{this, "message_size_limit", "10240000", at_least(0),
                                           "bytes of a message, 0: no limit"};
    Param<int> header_size_limit{this, "header_size_limit", "102400", at_least(1),
                                 "bytes of one header; the rest is cut off"};
    Param<int> header_address_limit{this, "header_address_token_limit", "10240", at_least(1),
                                    "addresses of one header; a longer one is left as it is"};
    Param<int> hopcount_limit{this, "hopcount_limit", "50", at_least(1),
                              "Received: headers that a message may have"};
    Param<int> attribute_limit{this, "queue_file_attribute_count_limit", "100", at_least(1),
                               "attributes of a message, those of recipients aside"};
    Param<int> duplicate_limit{this, "duplicate_filter_limit", "1000", at_least(0),
                               "recipients remembered in order to drop duplicates, 0: all"};

    // ---- headers ----
    Param<bool> always_add_missing_headers{this, "always_add_missing_headers", "no",
                                           "complete the headers of remote mail too"};
    Param<std::string> undisclosed_recipients{this, "undisclosed_recipients_header", "",
                                              "the header of mail that names no recipient"};
    Param<Names> drop_headers{this, "message_drop_headers", "bcc, content-length, resent-bcc, return-path",
                              "headers that are removed"};
    Param<std::string> remote_header_rewrite_domain{this, "remote_header_rewrite_domain", "",
                                                    "the domain of incomplete addresses in remote mail"};
    Param<std::string> header_from_format{
        this, "header_from_format", "standard",
        "how a generated From: header shows the name: standard or obsolete"};
    Param<std::string> full_name_charset{this, "full_name_encoding_charset", "utf-8",
                                         "the character set of a sender's full name outside ASCII"};
    Param<std::string> empty_address_recipient{this, "empty_address_recipient", "MAILER-DAEMON",
                                               "who writes mail of the null sender"};
    Param<bool> replace_stray_cr_lf{this, "cleanup_replace_stray_cr_lf", "yes",
                                    "CR and LF inside of lines become blanks"};
    Param<std::string> strip_characters{this, "message_strip_characters", "",
                                        "characters that are taken out of messages"};
    Param<std::string> reject_characters{this, "message_reject_characters", "",
                                         "characters that a message must not contain"};
    Param<bool> detect_8bit_encoding{this, "detect_8bit_encoding_header", "yes",
                                     "believe a Content-Transfer-Encoding: header"};

    // ---- inspection ----
    Param<std::string> header_checks{this, "header_checks", "", "rules for headers of messages"};
    Param<std::string> mime_header_checks{this, "mime_header_checks", "$header_checks",
                                          "rules for headers of MIME parts"};
    Param<std::string> nested_header_checks{this, "nested_header_checks", "$header_checks",
                                            "rules for headers of attached messages"};
    Param<std::string> body_checks{this, "body_checks", "", "rules for lines of bodies"};
    Param<int> body_checks_limit{this, "body_checks_size_limit", "51200", at_least(0),
                                 "bytes of each part that body_checks see"};
    Param<bool> disable_mime{this, "disable_mime_input_processing", "no", "take a message for one body"};
    Param<int> mime_nesting_limit{this, "mime_nesting_limit", "100", at_least(1),
                                  "how deep MIME parts may be nested; deeper mail is refused"};
    Param<int> mime_boundary_limit{this, "mime_boundary_length_limit", "2048", at_least(1),
                                   "bytes of a MIME boundary that tell it from others"};
    Param<bool> strict_7bit_headers{this, "strict_7bit_headers", "no",
                                    "refuse mail with 8-bit text in headers"};
    Param<bool> strict_8bitmime{this, "strict_8bitmime", "no",
                                "strict_7bit_headers and strict_8bitmime_body"};
    Param<bool> strict_8bitmime_body{this, "strict_8bitmime_body", "no",
                                     "refuse 8-bit text in bodies that do not declare it"};
    Param<bool> strict_encoding_domain{this, "strict_mime_encoding_domain", "no",
                                       "refuse encoded multipart and message types"};

    Param<std::string> non_smtpd_milters{this, "non_smtpd_milters", "",
                                         "mail filters for mail that comes not by SMTP"};
    Param<std::string> milter_header_checks{this, "milter_header_checks", "",
                                            "rules for headers that milters add or change"};
    milter::Params milter{this};

    // ---- addresses ----
    Param<std::string> myorigin{this, "myorigin", "$myhostname", "the domain of addresses without one"};
    Param<std::string> mydestination{this, "mydestination", "$myhostname, localhost.$mydomain, localhost",
                                     "domains that are delivered on this machine"};
    Param<Names> inet_interfaces{this, "inet_interfaces", "all", "the addresses that receive mail"};
    Param<Names> proxy_interfaces{this, "proxy_interfaces", "", "addresses that others translate to ours"};
    Param<std::string> recipient_delimiter{this, "recipient_delimiter", "",
                                           "between user name and extension"};
    Param<Names> propagate_extensions{this, "propagate_unmatched_extensions", "canonical, virtual",
                                      "mappings that keep an extension which the key did not have"};
    Param<std::string> canonical_maps{this, "canonical_maps", "", "addresses and what they become"};
    Param<std::string> sender_canonical_maps{this, "sender_canonical_maps", "",
                                             "the same for senders, asked first"};
    Param<std::string> recipient_canonical_maps{this, "recipient_canonical_maps", "",
                                                "the same for recipients, asked first"};
    Param<Names> canonical_classes{this, "canonical_classes",
                                   "envelope_sender, envelope_recipient, header_sender, header_recipient",
                                   "what canonical_maps apply to"};
    Param<Names> sender_canonical_classes{this, "sender_canonical_classes", "envelope_sender, header_sender",
                                          "what sender_canonical_maps apply to"};
    Param<Names> recipient_canonical_classes{this, "recipient_canonical_classes",
                                             "envelope_recipient, header_recipient",
                                             "what recipient_canonical_maps apply to"};
    Param<Names> masquerade_domains{this, "masquerade_domains", "", "domains whose subdomains are cut off"};
    Param<std::string> masquerade_exceptions{this, "masquerade_exceptions", "",
                                             "user names whose domain stays as it is"};
    Param<Names> masquerade_classes{this, "masquerade_classes",
                                    "envelope_sender, header_sender, header_recipient",
                                    "what masquerade_domains apply to"};
    Param<std::string> virtual_alias_maps{this, "virtual_alias_maps", "$virtual_maps",
                                          "recipients and the recipients they stand for"};
    Param<int> alias_expansion_limit{this, "virtual_alias_expansion_limit", "1000", at_least(1),
                                     "recipients that one recipient may become"};
    Param<int> alias_recursion_limit{this, "virtual_alias_recursion_limit", "1000", at_least(1),
                                     "how deep aliases of aliases are followed"};
    Param<int> alias_length_limit{this, "virtual_alias_address_length_limit", "1000", at_least(1),
                                  "bytes of an address that an alias gives"};
    Param<std::string> always_bcc{this, "always_bcc", "", "gets a copy of all mail"};
    Param<std::string> sender_bcc_maps{this, "sender_bcc_maps", "", "who gets a copy, by sender"};
    Param<std::string> recipient_bcc_maps{this, "recipient_bcc_maps", "", "who gets a copy, by recipient"};
    Param<bool> enable_original_recipient{this, "enable_original_recipient", "yes",
                                          "recipients are told apart by their original address too"};

    // ---- the rest ----
    Param<Seconds> in_flow_delay{this, "in_flow_delay", "1s", between(0, 10),
                                 "how long a new message waits while mail comes in faster than it leaves"};
    Param<Seconds> delay_warning_time{this, "delay_warning_time", "0h", at_least(0).in('h'),
                                      "when a sender is told that mail is delayed, 0: never"};
    Param<bool> commit_log{this, "commit_log", "yes",
                           "under load, new messages share a log and get a file only when they have to wait"};
    Param<std::string> rewrite_service{this, "rewrite_service_name", "rewrite", "who completes addresses"};
    Param<std::string> queue_service{this, "queue_service_name", "qmgr", "who is told of new mail"};
    Param<std::string> bounce_service{this, "bounce_service_name", "bounce", "who returns bad local mail"};
};

} // namespace bulkhead
