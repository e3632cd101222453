// Parameters of the queue manager.
#pragma once

#include "config/params.h"

namespace bulkhead
{

struct QmgrParams : ParamSet {
    Param<Seconds> queue_run_delay{this, "queue_run_delay", "300s", at_least(1),
                                   "time between scans of the deferred queue"};
    Param<Seconds> minimal_backoff{this, "minimal_backoff_time", "300s", at_least(1),
                                   "shortest time between attempts, and how long a dead destination rests"};
    Param<Seconds> maximal_backoff{this, "maximal_backoff_time", "4000s", at_least(1),
                                   "longest time between attempts"};
    Param<Seconds> maximal_lifetime{this, "maximal_queue_lifetime", "5d", between(0, 8640000).in('d'),
                                    "how long a message is tried before it is returned"};
    Param<Seconds> bounce_lifetime{this, "bounce_queue_lifetime", "5d", between(0, 8640000).in('d'),
                                   "the same for mail from the null sender"};
    Param<int> active_limit{this, "qmgr_message_active_limit", "20000", at_least(1),
                            "messages in the active queue"};
    Param<int> recipient_limit{this, "qmgr_message_recipient_limit", "20000", at_least(1),
                               "recipients in memory"};
    Param<int> recipient_minimum{this, "qmgr_message_recipient_minimum", "10", at_least(1),
                                 "recipients in memory that each message may have"};
    Param<int> initial_concurrency{this, "initial_destination_concurrency", "5", at_least(1),
                                   "concurrency at the first delivery to a destination"};
    Param<Seconds> transport_retry_time{this, "transport_retry_time", "60s", at_least(1),
                                        "how long a broken transport rests"};
    Param<std::vector<std::string>> defer_transports{this, "defer_transports", "",
                                                     "transports that deliver only when flushed"};
    Param<std::string> recipient_delimiter{this, "recipient_delimiter", "",
                                           "what separates a user name from its extension"};
    Param<std::string> bounce_service{this, "bounce_service_name", "bounce", "the service that returns mail"};
    Param<std::string> defer_service{this, "defer_service_name", "defer",
                                     "the service that keeps deferred recipients"};
    Param<std::string> trace_service{this, "trace_service_name", "trace",
                                     "the service that keeps delivery reports"};
    Param<std::string> flush_service{this, "flush_service_name", "flush",
                                     "the service that keeps lists of waiting mail"};
    Param<std::string> flush_domains{this, "fast_flush_domains", "$relay_domains",
                                     "destinations that have a list of their waiting mail, for ETRN"};
    Param<std::vector<std::string>> parent_domains{
        this, "parent_domain_matches_subdomains",
        "debug_peer_list,fast_flush_domains,mynetworks,permit_mx_backup_networks,qmqpd_authorized_clients,"
        "relay_domains,smtpd_access_maps",
        "lists in which example.com also covers its subdomains"};
    Param<std::string> filter_nexthop{this, "default_filter_nexthop", "",
                                      "the next hop of a content_filter without one; empty: the "
                                      "recipient's domain"};
    Param<bool> confirm_delay_cleared{this, "confirm_delay_cleared", "no",
                                      "tell the sender when mail that he was warned about is delivered"};
    Param<bool> disable_verp_bounces{this, "disable_verp_bounces", "no",
                                     "one notice for all failed recipients of VERP mail"};
    Param<std::string> double_bounce_sender{
        this, "double_bounce_sender", "double-bounce",
        "the sender of notices to the postmaster; mail to it is discarded"};
    Param<int> probe_limit{this, "address_verify_pending_request_limit", "5000", at_least(1),
                           "address probes under way at a time"};
    Param<std::string> queue_service{this, "queue_service_name", "qmgr",
                                     "the queue manager that looks after the whole spool"};
    Param<std::string> rewrite_service{this, "rewrite_service_name", "rewrite", "the address resolver"};
};

} // namespace bulkhead
