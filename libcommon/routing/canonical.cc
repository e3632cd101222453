#include "routing/canonical.h"

#include "mail/address.h"

namespace bulkhead
{

// "@one,@two:user@site" -> "user@site".
static std::string_view without_route(std::string_view address)
{
    if (!address.starts_with('@'))
        return address;
    const auto colon = address.find(':');
    return colon == address.npos ? address : address.substr(colon + 1);
}

// "site!user" -> "user@site", "user%site" -> "user@site"; both sides must be there.
static std::string with_at_sign(const CanonicalRules& rules, std::string_view address)
{
    const auto bang = address.find('!');
    if (rules.swap_bangpath && bang != address.npos && bang > 0 && bang + 1 < address.size())
        return std::string(address.substr(bang + 1)).append("@").append(address.substr(0, bang));
    const auto percent = address.rfind('%');
    std::string out(address);
    if (rules.allow_percent_hack && percent != address.npos && percent > 0 && percent + 1 < address.size())
        out[percent] = '@';
    return out;
}

std::string canonical_form(const CanonicalRules& rules, ipc::RewriteContext context, std::string_view address)
{
    if (address.empty())
        return {};
    const bool local = context == ipc::RewriteContext::local;
    std::string out(without_route(address));
    if (out.find('@') == out.npos)
        out = with_at_sign(rules, out);
    while (out.ends_with('.') && out.find('@') != out.npos)
        out.pop_back();

    const AddressParts parts = split_address(out);
    if (!parts.has_domain) {
        const std::string& origin = local ? rules.myorigin : rules.remote_domain;
        if (!origin.empty() && (!local || rules.append_at_myorigin))
            return out.append("@").append(origin);
        return out;
    }
    // "user@" has a domain, though an empty one: resolve_null_domain says what to do.
    if (parts.domain.empty() || is_domain_literal(parts.domain) ||
        parts.domain.find('.') != parts.domain.npos)
        return out;
    const std::string& domain = local ? rules.mydomain : rules.remote_domain;
    if (!domain.empty() && (!local || rules.append_dot_mydomain))
        out.append(".").append(domain);
    return out;
}

} // namespace bulkhead
