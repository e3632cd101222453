#include "delivery/service_user.h"

#include "os/jail.h"

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>

namespace bulkhead
{

constexpr std::string_view default_path = "PATH=/usr/bin:/bin:/usr/sbin:/sbin";

Result<CommandIdentity> service_user(const std::string& text, const std::string& mail_owner)
{
    const auto colon = text.find(':');
    TRY(const UserIds user, find_user(text.substr(0, colon)));
    CommandIdentity identity{user.uid, user.gid};
    if (colon != text.npos) {
        TRY(identity.gid, find_group(text.substr(colon + 1)));
    }
    TRY(const UserIds owner, find_user(mail_owner));
    if (identity.uid == 0 || identity.gid == 0)
        return Error{Fault::config, fmt::format("user={}: not with the rights of root", text)};
    if (identity.uid == owner.uid)
        return Error{Fault::config,
                     fmt::format("user={}: not with the rights of the mail system's owner", text)};
    return identity;
}

std::vector<std::string> exported_environment(const std::vector<std::string>& names)
{
    std::vector<std::string> variables;
    for (const std::string& name : names) {
        if (name.find('=') != name.npos)
            variables.push_back(name);
        else if (const char* const value = ::getenv(name.c_str()))
            variables.push_back(name + "=" + value);
    }
    if (std::ranges::none_of(variables, [](const std::string& each) { return each.starts_with("PATH="); }))
        variables.emplace_back(default_path);
    return variables;
}

} // namespace bulkhead
