// Parameters of anvil.
#pragma once

#include "config/params.h"

namespace bulkhead
{

struct AnvilParams : ParamSet {
    Param<Seconds> time_unit{this, "anvil_rate_time_unit", "60s", at_least(1),
                             "the time over which client rates are counted"};
    Param<Seconds> status_time{this, "anvil_status_update_time", "600s", at_least(1),
                               "how often peak client rates are logged"};
};

} // namespace bulkhead
