#include "sender_policy.h"

#include "local_user.h"

#include "base/text.h"
#include "config/values.h"
#include "table/table.h"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr std::string_view everyone = "static:*";

bool is_mail_owner(const Config& config)
{
    const passwd* const owner = ::getpwnam(config.get("mail_owner").c_str());
    return owner != nullptr && owner->pw_uid == ::getuid();
}

} // namespace

bool is_allowed_sender(std::string_view patterns, std::string_view sender, const SenderRules& rules)
{
    const auto completed = [&](std::string_view address) {
        return lower(address) + (address.find('@') == address.npos ? '@' + lower(rules.origin) : "");
    };
    const std::string whole = completed(sender);
    const std::string domain = whole.substr(whole.rfind('@'));
    return std::ranges::any_of(parse_list(patterns), [&](const std::string& pattern) {
        if (pattern == "*")
            return true;
        if (sender.empty() || pattern == rules.empty_key)
            return sender.empty() && pattern == rules.empty_key;
        return pattern.starts_with('@') ? lower(pattern) == domain : completed(pattern) == whole;
    });
}

std::string refusal_of_sender(const Config& config, std::string_view sender)
{
    const std::string spec = config.get("local_login_sender_maps");
    if (spec == everyone || ::getuid() == 0 || is_mail_owner(config))
        return {};
    const std::string user = login_name().value_or(fmt::format("uid:{}", ::getuid()));
    TableList tables = TableList::open(spec);
    const Lookup patterns = tables.find(user);
    if (patterns.is_broken())
        return "local_login_sender_maps lookup error: " + patterns.reason();
    const SenderRules rules{config.get("myorigin"),
                            config.get("empty_address_local_login_sender_maps_lookup_key")};
    if (patterns.is_found() && is_allowed_sender(patterns.value(), sender, rules))
        return {};
    return fmt::format("User {}({}) is not allowed to send mail as <{}>", user, ::getuid(),
                       printable(sender));
}

} // namespace bulkhead
