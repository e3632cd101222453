// The parameters of saslauth.
#pragma once

#include "config/params.h"

#include <string>
#include <vector>

namespace bulkhead
{

struct SaslAuthParams : ParamSet {
    Param<std::string> path{this, "smtpd_sasl_path", "smtpd",
                            "the users: an absolute path of a user database, or tables type:name; anything "
                            "else stands for users.sqlite in data_directory"};
    Param<std::string> data_directory{this, "data_directory", "/var/lib/bulkhead",
                                      "where the user database is"};
    Param<std::string> local_domain{this, "smtpd_sasl_local_domain", "", "the realm of logins without one"};
    Param<std::string> token_maps{this, "smtpd_sasl_token_maps", "",
                                  "tables that know the user of an OAuth token; empty: no tokens"};
    Param<std::vector<std::string>> mechanisms{
        this, "saslauth_mechanisms", "", "mechanisms that are offered; empty: those that all users can use"};
};

} // namespace bulkhead
