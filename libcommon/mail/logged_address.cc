#include "mail/logged_address.h"

#include "base/text.h"
#include "mail/address.h"

#include <fmt/format.h>

namespace bulkhead
{

// Part of how the process logs, like the logger itself.
static bool logs_internal_form = false;

Result<> choose_logged_form(std::string_view format)
{
    if (format != "external" && format != "internal")
        return Error{
            Fault::config,
            fmt::format("info_log_address_format: bad value \"{}\": external, internal", printable(format))};
    logs_internal_form = format == "internal";
    return {};
}

std::string logged_form(std::string_view internal)
{
    return logs_internal_form ? std::string(internal) : external_form(internal);
}

} // namespace bulkhead
