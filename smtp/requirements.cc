#include "requirements.h"

#include "base/text.h"

#include <vector>

#include <fmt/format.h>

namespace bulkhead
{

using ipc::DeliveryOutcome;

bool demands_encryption(std::string_view level)
{
    return !level.empty() && !equals_ignoring_case(level, "none") && !equals_ignoring_case(level, "may");
}

Result<Requirements> Requirements::open(const SmtpParams& params)
{
    Requirements requirements;
    requirements.level_ = !params.tls_level().empty() ? params.tls_level()
                          : params.enforce_tls()      ? "encrypt"
                          : params.use_tls()          ? "may"
                                                      : "none";
    requirements.wrapper_ = params.tls_wrappermode();
    requirements.sasl_ = params.sasl_enable();
    const std::string& policies =
        params.tls_policy_maps().empty() ? params.tls_per_site() : params.tls_policy_maps();
    requirements.policies_ = TableList::open(policies);
    if (requirements.sasl_)
        requirements.passwords_ = TableList::open(params.sasl_password_maps());
    return requirements;
}

std::string Requirements::warning() const
{
    const bool tls = level_ != "none" || wrapper_ || !policies_.empty();
    if (!tls && !sasl_)
        return {};
    return fmt::format("{} not available yet in this release: mail that demands it is deferred",
                       tls && sasl_ ? "TLS and SASL are"
                       : tls        ? "TLS is"
                                    : "SASL is");
}

std::vector<std::string_view> policy_keys(std::string_view nexthop)
{
    std::vector<std::string_view> keys{nexthop};
    std::string_view host = nexthop;
    if (host.starts_with('['))
        host = host.substr(1, host.find(']') - 1);
    else
        host = host.substr(0, host.find(':'));
    if (host != nexthop)
        keys.push_back(host);
    for (auto dot = host.find('.', 1); dot != host.npos; dot = host.find('.', dot + 1))
        keys.push_back(host.substr(dot));
    return keys;
}

std::optional<DeliveryStatus> Requirements::unmet(std::string_view nexthop, std::string_view sender)
{
    std::string level = level_;
    if (!policies_.empty()) {
        for (const std::string_view key : policy_keys(nexthop)) {
            const Lookup policy = policies_.find(key);
            if (policy.is_broken())
                return DeliveryStatus(DeliveryOutcome::deferred, "4.3.0",
                                      "TLS policy lookup failed: " + policy.reason());
            if (policy.is_absent())
                continue;
            const auto words = split(policy.value(), ", \t\r\n");
            level = words.empty() ? "encrypt" : words.front();
            break;
        }
    }
    if (wrapper_ || demands_encryption(level))
        return DeliveryStatus(DeliveryOutcome::deferred, "4.7.4",
                              "TLS is required, but not available yet in this release");
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
