#include "requirements.h"

#include "client_tls.h"

#include "base/text.h"

#include <vector>

#include <fmt/format.h>

namespace bulkhead
{

using ipc::DeliveryOutcome;

Result<Requirements> Requirements::open(const SmtpParams& params)
{
    Requirements requirements;
    requirements.sasl_ = params.sasl_enable();
    if (requirements.sasl_)
        requirements.passwords_ = TableList::open(params.sasl_password_maps());
    return requirements;
}

std::string Requirements::warning() const
{
    if (!sasl_)
        return {};
    return "SASL is not available yet in this release: mail that demands it is deferred";
}

std::optional<DeliveryStatus> Requirements::unmet(std::string_view nexthop, std::string_view sender)
{
    std::string broken;
    if (sasl_ && demands_login(nexthop, sender, broken))
        return DeliveryStatus(DeliveryOutcome::deferred, "4.7.0",
                              broken.empty()
                                  ? "SASL authentication is configured, but not available yet in this release"
                                  : broken);
    return std::nullopt;
}

bool Requirements::demands_login(std::string_view nexthop, std::string_view sender, std::string& broken)
{
    std::vector<std::string_view> keys = policy_keys(nexthop);
    keys.push_back(sender);
    for (const std::string_view key : keys) {
        const Lookup password = passwords_.find(key);
        if (password.is_broken())
            broken = "SASL password lookup failed: " + password.reason();
        if (!password.is_absent())
            return true;
    }
    return false;
}

} // namespace bulkhead
