// Parameters of verify.
#pragma once

#include "config/params.h"

namespace bulkhead
{

struct VerifyParams : ParamSet {
    Param<std::string> map{this, "address_verify_map", "btree:$data_directory/verify_cache",
                           "the database of address probe results; empty: in memory only"};
    Param<std::string> sender{this, "address_verify_sender", "$double_bounce_sender",
                              "the envelope sender of address probes"};
    Param<Seconds> sender_ttl{this, "address_verify_sender_ttl", "0s", at_least(0),
                              "how often the local part of the probe sender changes; 0: never"};
    Param<std::string> myorigin{this, "myorigin", "$myhostname", "the domain of addresses without one"};
    Param<Seconds> positive_expire{this, "address_verify_positive_expire_time", "31d", at_least(1).in('d'),
                                   "a successful probe is forgotten after this time"};
    Param<Seconds> positive_refresh{this, "address_verify_positive_refresh_time", "7d", at_least(1).in('d'),
                                    "a successful probe is repeated after this time"};
    Param<bool> negative_cache{this, "address_verify_negative_cache", "yes",
                               "remember failed address probes"};
    Param<Seconds> negative_expire{this, "address_verify_negative_expire_time", "3d", at_least(1).in('d'),
                                   "a failed probe is forgotten after this time"};
    Param<Seconds> negative_refresh{this, "address_verify_negative_refresh_time", "3h", at_least(1).in('h'),
                                    "a failed probe is tried again after this time"};
    Param<Seconds> cleanup_interval{this, "address_verify_cache_cleanup_interval", "12h", at_least(0).in('h'),
                                    "time between two removals of expired probe results; 0: never"};
    Param<std::vector<std::string>> utf8_classes{this, "smtputf8_autodetect_classes", "sendmail, verify",
                                                 "mail that is marked SMTPUTF8 when its addresses need it"};
    Param<std::string> cleanup_service{this, "cleanup_service_name", "cleanup",
                                       "the service that takes new messages"};
};

} // namespace bulkhead
