#include "local_user.h"

#include "base/text.h"
#include "table/domain_list.h"

#include <pwd.h>
#include <unistd.h>

#include <cstdlib>

#include <fmt/format.h>

namespace bulkhead
{

std::optional<std::string> login_name()
{
    const passwd* const user = ::getpwuid(::getuid());
    if (user == nullptr)
        return std::nullopt;
    return std::string(user->pw_name);
}

static std::string capitalised(std::string text)
{
    if (!text.empty() && is_alpha(text[0]) && text[0] >= 'a')
        text[0] = static_cast<char>(text[0] - ('a' - 'A'));
    return text;
}

std::string full_name_of_caller()
{
    const char* const name = std::getenv("NAME");
    if (name != nullptr && *name != '\0')
        return name;
    const passwd* const user = ::getpwuid(::getuid());
    if (user == nullptr || user->pw_gecos == nullptr)
        return {};
    const std::string_view gecos = user->pw_gecos;
    std::string full;
    for (const char c : gecos.substr(0, gecos.find(','))) {
        if (c == '&')
            full += capitalised(user->pw_name);
        else
            full += c;
    }
    return full;
}

std::string refusal_of_caller(const Config& config, std::string_view parameter, std::string_view doing,
                              std::string_view also)
{
    if (::getuid() == 0)
        return {};
    const std::string user = login_name().value_or("unknown");
    if (!also.empty() && user == also)
        return {};
    ListOptions options;
    options.parameter = parameter;
    const auto users = MatchList::open(config.get(parameter), options);
    if (!users)
        return users.error().context;
    const ListMatch match = users->match(user);
    if (match.is_broken())
        return match.reason;
    return match ? std::string() : fmt::format("User {}({}) is not allowed to {}", user, ::getuid(), doing);
}

} // namespace bulkhead
