// Parameters of spawn; the time limit of a service is <service>_time_limit.
#pragma once

#include "config/params.h"

namespace bulkhead
{

struct SpawnParams : ParamSet {
    Param<Seconds> time_limit{this, "command_time_limit", "1000s", at_least(1),
                              "how long a command of a delivery agent may run"};
    Param<std::vector<std::string>> export_environment{this, "export_environment", "TZ MAIL_CONFIG LANG",
                                                       "environment variables that delivery commands see"};
};

} // namespace bulkhead
