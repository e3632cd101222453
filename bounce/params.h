// Parameters of bounce (also run as defer and trace).
#pragma once

#include "config/params.h"

namespace bulkhead
{

struct BounceParams : ParamSet {
    Param<std::vector<std::string>> notify_classes{this, "notify_classes", "resource, software",
                                                   "what the postmaster is told about"};
    Param<std::string> bounce_recipient{this, "bounce_notice_recipient", "postmaster",
                                        "who gets copies of non-delivery notices (class bounce)"};
    Param<std::string> double_bounce_recipient{
        this, "2bounce_notice_recipient", "postmaster",
        "who gets notices that could not be delivered (class 2bounce)"};
    Param<std::string> delay_recipient{this, "delay_notice_recipient", "postmaster",
                                       "who gets copies of delay notices (class delay)"};
    Param<std::string> double_bounce_sender{
        this, "double_bounce_sender", "double-bounce",
        "the sender of notices to the postmaster; mail to it is discarded"};
    Param<std::string> myorigin{this, "myorigin", "$myhostname", "the domain of addresses without one"};
    Param<int> size_limit{this, "bounce_size_limit", "50000", at_least(1),
                          "bytes of the original message that a notice returns"};
    Param<Seconds> queue_lifetime{this, "maximal_queue_lifetime", "5d", between(0, 8640000).in('d'),
                                  "how long a message is tried"};
    Param<bool> compatible_logs{this, "backwards_bounce_logfile_compatibility", "yes",
                                "keep the old form of an entry in the logs, too"};
    Param<std::string> defer_service{this, "defer_service_name", "defer",
                                     "the service that keeps deferred recipients"};
    Param<std::string> trace_service{this, "trace_service_name", "trace",
                                     "the service that keeps delivery reports"};
    Param<std::string> cleanup_service{this, "cleanup_service_name", "cleanup",
                                       "the service that takes new messages"};
    Param<std::string> template_file{this, "bounce_template_file", "",
                                     "texts of notices instead of the built-in ones"};
    Param<bool> threaded{this, "enable_threaded_bounces", "no",
                         "notices refer to the Message-ID of the original"};
    Param<std::string> header_from_format{this, "header_from_format", "standard",
                                          "the form of From: headers that are added: standard or obsolete"};
    Param<std::vector<std::string>> filter_classes{this, "internal_mail_filter_classes", "",
                                                   "our own mail that passes the content checks: bounce"};
};

} // namespace bulkhead
