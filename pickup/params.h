// The parameters of pickup.
#pragma once

#include "config/params.h"

namespace bulkhead
{

struct PickupParams : ParamSet {
    Param<std::string> cleanup_service{this, "cleanup_service_name", "cleanup", "who makes queue files"};
    Param<std::string> content_filter{this, "content_filter", "",
                                      "transport:nexthop of a filter for all mail"};
    Param<std::vector<std::string>> overrides{this, "receive_override_options", "",
                                              "what cleanup shall not do with this mail"};
    Param<bool> smtputf8_enable{this, "smtputf8_enable",
                                "${{$compatibility_level} <level {1} ? {no} : {yes}}",
                                "addresses and headers in UTF-8"};
};

} // namespace bulkhead
