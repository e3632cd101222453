// What the front door says that it can do: what every environment behind it can.  Read from
// their configurations at the start; the master starts another front door when one of them has
// changed.
#pragma once

#include "params.h"

#include "smtp/command.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

class Config;

struct Offers {
    // An environment that cannot be read is left out, with a line in the log.
    static Offers of_all(const Config& primary, const FrontDoorParams& params);

    // What an smtpd with these settings does not offer is not offered here.
    void limit_to(const Config& environment);

    // The text of the reply to EHLO; auth: its mechanisms, empty: none.
    std::vector<std::string> lines(std::string_view myhostname, bool starttls, std::string_view auth) const;

    CommandOptions command_options() const;

    bool has(std::string_view keyword) const;

    std::vector<std::string> keywords;
    std::int64_t size = 0;  // the smallest limit; 0: none
    bool auth_only = false; // one of them wants logins inside TLS only
};

} // namespace bulkhead
