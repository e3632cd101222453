// Parameters of flush.
#pragma once

#include "config/params.h"

namespace bulkhead
{

struct FlushParams : ParamSet {
    Param<std::string> domains{this, "fast_flush_domains", "$relay_domains",
                               "destinations that have a list of their waiting mail, for ETRN"};
    Param<std::vector<std::string>> parent_domains{
        this, "parent_domain_matches_subdomains",
        "debug_peer_list,fast_flush_domains,mynetworks,permit_mx_backup_networks,qmqpd_authorized_clients,"
        "relay_domains,smtpd_access_maps",
        "lists in which example.com also covers its subdomains"};
    Param<Seconds> purge_time{this, "fast_flush_purge_time", "7d", at_least(1).in('d'),
                              "an empty list of waiting mail is removed after this time"};
    Param<Seconds> refresh_time{this, "fast_flush_refresh_time", "12h", at_least(1).in('h'),
                                "a list of waiting mail that was not used is flushed after this time"};
    Param<std::string> queue_service{this, "queue_service_name", "qmgr", "the queue manager"};
};

} // namespace bulkhead
