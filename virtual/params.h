// Parameters of virtual.
#pragma once

#include "config/params.h"

namespace bulkhead
{

struct VirtualParams : ParamSet {
    Param<std::string> base{this, "virtual_mailbox_base", "",
                            "the folder below which all virtual mailboxes are"};
    Param<std::string> status_filter{this, "virtual_delivery_status_filter",
                                     "$default_delivery_status_filter",
                                     "rules that replace the status of deliveries by virtual"};
    Param<std::string> mailbox_maps{this, "virtual_mailbox_maps", "",
                                    "address to path below the base; a path with a final / is a Maildir"};
    Param<std::string> uid_maps{this, "virtual_uid_maps", "", "address to the user id that owns the mailbox"};
    Param<std::string> gid_maps{this, "virtual_gid_maps", "", "address to the group id of the mailbox"};
    Param<int> minimum_uid{this, "virtual_minimum_uid", "100", at_least(1), "smaller user ids are refused"};
    Param<std::int64_t> mailbox_limit{this, "virtual_mailbox_limit", "51200000", at_least(0),
                                      "largest mailbox file or Maildir message in bytes, 0: no limit"};
    Param<std::vector<std::string>> mailbox_lock{this, "virtual_mailbox_lock", "fcntl, dotlock",
                                                 "how mailbox files are locked: fcntl, flock, dotlock"};
    Param<int> lock_attempts{this, "deliver_lock_attempts", "20", at_least(1),
                             "how often to try to lock a mailbox"};
    Param<Seconds> lock_delay{this, "deliver_lock_delay", "1s", at_least(1), "the time between two attempts"};
    Param<Seconds> stale_lock{this, "stale_lock_time", "500s", at_least(1),
                              "age at which a dotlock is removed"};
    Param<bool> strict_ownership{this, "strict_mailbox_ownership", "yes",
                                 "refuse mailboxes that their user does not own"};
    Param<std::string> recipient_delimiter{this, "recipient_delimiter", "",
                                           "characters that begin an address extension"};
};

} // namespace bulkhead
