// Parameters of pipe; the time limit of a service is <service>_time_limit.
#pragma once

#include "config/params.h"

namespace bulkhead
{

struct PipeParams : ParamSet {
    Param<Seconds> time_limit{this, "command_time_limit", "1000s", at_least(1),
                              "how long a command of a delivery agent may run"};
    Param<std::vector<std::string>> export_environment{this, "export_environment", "TZ MAIL_CONFIG LANG",
                                                       "environment variables that delivery commands see"};
    Param<std::string> status_filter{this, "pipe_delivery_status_filter", "$default_delivery_status_filter",
                                     "rules that replace the status of deliveries by pipe"};
    Param<std::string> recipient_delimiter{this, "recipient_delimiter", "",
                                           "characters that begin an address extension"};
    Param<int> process_limit{this, "default_process_limit", "100", at_least(1),
                             "commands that one service runs at once"};
};

} // namespace bulkhead
