// The parameters of trivial-rewrite.
#pragma once

#include "config/params.h"

namespace bulkhead
{

// Where probes of addresses go (verify), if not where mail goes: a part of RewriteParams.
struct ProbeRoutes {
    explicit ProbeRoutes(ParamSet* owner) : set(owner) {}

    ParamSet* set;
    Param<std::string> local_transport{set, "address_verify_local_transport", "$local_transport",
                                       "local_transport of probes"};
    Param<std::string> virtual_transport{set, "address_verify_virtual_transport", "$virtual_transport",
                                         "virtual_transport of probes"};
    Param<std::string> relay_transport{set, "address_verify_relay_transport", "$relay_transport",
                                       "relay_transport of probes"};
    Param<std::string> default_transport{set, "address_verify_default_transport", "$default_transport",
                                         "default_transport of probes"};
    Param<std::string> relayhost{set, "address_verify_relayhost", "$relayhost", "relayhost of probes"};
    Param<std::string> transport_maps{set, "address_verify_transport_maps", "$transport_maps",
                                      "transport_maps of probes"};
    Param<std::string> sender_relayhost_maps{set, "address_verify_sender_dependent_relayhost_maps",
                                             "$sender_dependent_relayhost_maps",
                                             "sender_dependent_relayhost_maps of probes"};
    Param<std::string> sender_default_transport_maps{
        set, "address_verify_sender_dependent_default_transport_maps",
        "$sender_dependent_default_transport_maps", "sender_dependent_default_transport_maps of probes"};
};

struct RewriteParams : ParamSet {
    using Names = std::vector<std::string>;

    Param<std::string> myorigin{this, "myorigin", "$myhostname", "the domain of addresses without one"};
    Param<std::string> mydomain{this, "mydomain", "localdomain", "the domain of host names without one"};
    Param<std::string> mydestination{this, "mydestination", "$myhostname, localhost.$mydomain, localhost",
                                     "domains that are delivered on this machine"};
    Param<Names> inet_interfaces{this, "inet_interfaces", "all", "the addresses that receive mail"};
    Param<Names> proxy_interfaces{this, "proxy_interfaces", "", "addresses that others translate to ours"};
    Param<bool> append_at_myorigin{this, "append_at_myorigin", "yes", "complete addresses without a domain"};
    Param<bool> append_dot_mydomain{this, "append_dot_mydomain",
                                    "${{$compatibility_level} <level {1} ? {yes} : {no}}",
                                    "complete domains without a dot"};
    Param<bool> swap_bangpath{this, "swap_bangpath", "yes", "site!user means user@site"};
    Param<bool> allow_percent_hack{this, "allow_percent_hack", "yes", "user%site means user@site"};
    Param<std::string> remote_header_rewrite_domain{this, "remote_header_rewrite_domain", "",
                                                    "the domain of incomplete addresses in remote mail"};
    Param<std::string> empty_address_recipient{this, "empty_address_recipient", "MAILER-DAEMON",
                                               "who gets mail for the null address"};
    Param<std::string> local_transport{this, "local_transport", "local:$myhostname", "for mydestination"};
    Param<std::string> virtual_transport{this, "virtual_transport", "virtual", "for virtual_mailbox_domains"};
    Param<std::string> relay_transport{this, "relay_transport", "relay", "for relay_domains"};
    Param<std::string> default_transport{this, "default_transport", "smtp", "for all other domains"};
    Param<std::string> relayhost{this, "relayhost", "", "the next hop of all mail that is not ours"};
    Param<std::string> sender_relayhost_maps{this, "sender_dependent_relayhost_maps", "",
                                             "relayhost by sender"};
    Param<std::string> sender_default_transport_maps{this, "sender_dependent_default_transport_maps", "",
                                                     "default_transport by sender"};
    Param<std::string> null_relayhost_key{this, "empty_address_relayhost_maps_lookup_key", "<>",
                                          "the null sender in sender_dependent_relayhost_maps"};
    Param<std::string> null_transport_key{this, "empty_address_default_transport_maps_lookup_key", "<>",
                                          "the null sender in sender_dependent_default_transport_maps"};
    Param<std::string> transport_maps{this, "transport_maps", "", "routes that override the others"};
    Param<std::string> sender_recipient_transport_maps{this, "sender_recipient_transport_maps", "",
                                                       "routes by sender and recipient, asked first"};
    Param<std::string> relocated_maps{this, "relocated_maps", "", "new addresses of users who left"};
    Param<std::string> virtual_alias_domains{this, "virtual_alias_domains", "$virtual_alias_maps",
                                             "domains whose addresses are all aliases"};
    Param<std::string> virtual_mailbox_domains{this, "virtual_mailbox_domains", "$virtual_mailbox_maps",
                                               "domains with mailboxes of users without an account"};
    Param<std::string> relay_domains{this, "relay_domains",
                                     "${{$compatibility_level} <level {2} ? {$mydestination} : {}}",
                                     "domains that we relay to from everywhere"};
    Param<Names> parent_domain_matches{this, "parent_domain_matches_subdomains",
                                       "debug_peer_list,fast_flush_domains,mynetworks,"
                                       "permit_mx_backup_networks,qmqpd_authorized_clients,relay_domains,"
                                       "smtpd_access_maps",
                                       "lists in which a domain stands for its subdomains too"};
    Param<std::string> recipient_delimiter{this, "recipient_delimiter", "",
                                           "between user name and extension"};
    Param<bool> resolve_dequoted_address{this, "resolve_dequoted_address", "yes",
                                         "look for routes inside of quotes"};
    Param<bool> resolve_null_domain{this, "resolve_null_domain", "no", "user@ is a local address"};
    Param<bool> resolve_numeric_domain{this, "resolve_numeric_domain", "no", "user@1.2.3.4 means [1.2.3.4]"};
    Param<bool> show_table_name{this, "show_user_unknown_table_name", "yes", "name the table in refusals"};
    Param<bool> allow_min_user{this, "allow_min_user", "no", "accept recipients that begin with \"-\""};
    ProbeRoutes probe{this};
};

} // namespace bulkhead
