#include "recipient.h"

#include "base/text.h"
#include "mail/address.h"

#include <pwd.h>

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace bulkhead
{

Result<std::optional<Account>> find_account(const std::string& name)
{
    constexpr std::size_t largest_entry = 1 << 20;
    constexpr std::size_t longest_name = 256;
    if (name.empty() || name.size() > longest_name || name.find('\0') != name.npos ||
        name.find(':') != name.npos)
        return std::optional<Account>();
    std::string buffer(1 << 14, '\0');
    for (;;) {
        passwd entry{};
        passwd* found = nullptr;
        const int fault = ::getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
        if (fault == ERANGE && buffer.size() < largest_entry) {
            buffer.resize(buffer.size() * 4);
            continue;
        }
        // These mean "not there" to one or the other source of names.
        if (!found && (fault == 0 || fault == ENOENT || fault == ESRCH || fault == EBADF || fault == EPERM))
            return std::optional<Account>();
        if (!found)
            return Error{Fault::broken, system_error("look up user " + name, fault).context, fault};
        return std::optional(
            Account{entry.pw_name, {entry.pw_uid, entry.pw_gid}, entry.pw_dir, entry.pw_shell});
    }
}

std::string_view source_name(Source source)
{
    static constexpr std::array<std::string_view, 4> names = {"message", "alias", "forward", "include"};
    return names[static_cast<std::size_t>(source)];
}

void LocalRecipient::split(const Split& how)
{
    const AddressParts parts = split_address(address);
    local = lower(parts.local);
    domain = lower(parts.domain);
    user = local;
    extension.clear();
    delimiter.clear();
    if (how.owner_request_special) {
        const LocalParts cut = split_extension(local, how.delimiters);
        if (cut.delimiter != '\0') {
            delimiter = cut.delimiter;
            extension = cut.extension;
            user = cut.user;
        }
        return;
    }
    const auto place = local.find_first_of(how.delimiters, 1);
    if (place == local.npos || how.delimiters.empty())
        return;
    user = local.substr(0, place);
    delimiter = local[place];
    extension = local.substr(place + 1);
}

std::string filtered(std::string_view text, std::string_view allowed)
{
    std::string out(text);
    std::ranges::replace_if(out, [&](char c) { return allowed.find(c) == allowed.npos; }, '_');
    return out;
}

MacroSource macros_of(const LocalRecipient& recipient, const Account* account, std::string_view delimiters,
                      std::string_view allowed)
{
    return [&recipient, account, delimiters, allowed](std::string_view name) -> std::optional<std::string> {
        if (name == "home" || name == "shell") // the system's own words
            return !account ? std::nullopt : std::optional(name == "home" ? account->home : account->shell);
        if (name == "recipient_delimiter")
            return recipient.delimiter.empty() ? std::string(delimiters) : recipient.delimiter;
        std::string_view value;
        if (name == "user")
            value = recipient.user;
        else if (name == "local")
            value = recipient.local;
        else if (name == "extension")
            value = recipient.extension;
        else if (name == "domain")
            value = recipient.domain;
        else if (name == "recipient")
            value = recipient.address;
        else
            return std::nullopt;
        return filtered(value, allowed);
    };
}

} // namespace bulkhead
