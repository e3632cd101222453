// The names of LMTP's parameters.
#include "params.h"

namespace bulkhead
{

std::string lmtp_name(std::string_view smtp_name)
{
    std::string name(smtp_name);
    if (name.starts_with("smtp_"))
        name.replace(0, 4, "lmtp");
    for (const std::string_view greeting : {"_helo_", "_ehlo_"})
        if (const auto at = name.find(greeting); at != std::string::npos)
            name.replace(at, greeting.size(), "_lhlo_");
    return name;
}

} // namespace bulkhead
