#include "user_store.h"

#include "base/text.h"

#include <cerrno>

#include <fmt/format.h>

namespace bulkhead
{

std::unique_ptr<UserStore> UserStore::open(const SaslAuthParams& params)
{
    std::unique_ptr<UserStore> store(new UserStore);
    const std::string& where = params.path();
    const auto path = sasl::user_database_path(where, params.data_directory());
    if (path)
        store->path_ = *path;
    else
        store->tables_ = TableList::open(where);
    store->realm_ = params.local_domain();
    TableOptions exact;
    exact.fold_fixed_keys = false;
    store->tokens_ = TableList::open(params.token_maps(), exact);
    return store;
}

// The database as it is now: it may have been made, or replaced, since it was last asked.
Result<std::shared_ptr<const sasl::UserDatabase>> UserStore::database()
{
    const std::lock_guard hold(opening_);
    struct stat now{};
    if (::stat(path_.c_str(), &now) != 0)
        return errno == ENOENT ? Error{Fault::not_found, path_ + ": no user database"} : system_error(path_);
    if (!database_ || now.st_ino != identity_.st_ino || now.st_dev != identity_.st_dev) {
        TRY(sasl::UserDatabase opened, sasl::UserDatabase::open(path_, sasl::UserDatabase::Mode::read));
        database_ = std::make_shared<const sasl::UserDatabase>(std::move(opened));
        identity_ = now;
    }
    return database_;
}

Result<std::optional<std::string>> UserStore::stored(const std::string& name)
{
    if (!path_.empty()) {
        const auto open = database();
        if (!open && open.error().fault == Fault::not_found)
            return std::optional<std::string>(); // nobody has been added yet
        if (!open)
            return open.error();
        TRY(auto entry, (*open)->find(name));
        return entry ? std::optional(std::move(entry->credentials)) : std::nullopt;
    }
    const Lookup answer = tables_.find(name);
    if (answer.is_broken())
        return Error{Fault::broken, answer.reason()};
    return answer.is_found() ? std::optional(answer.value()) : std::nullopt;
}

// With a realm: user@realm, then the user alone.
Result<std::optional<sasl::StoredUser>> UserStore::find(const std::string& user)
{
    const auto clean = sasl::stored_user_name(user);
    if (!clean)
        return std::optional<sasl::StoredUser>();
    std::vector<std::string> names{*clean};
    if (!realm_.empty() && clean->find('@') == std::string::npos)
        names.insert(names.begin(), *clean + '@' + lower(realm_));
    for (const std::string& name : names) {
        TRY(const std::optional<std::string> text, stored(name));
        if (!text)
            continue;
        auto credentials = sasl::parse_credentials(*text);
        if (!credentials)
            return Error{Fault::broken, fmt::format("user {}: {}", name, credentials.error().context)};
        return std::optional(sasl::StoredUser{name, *std::move(credentials)});
    }
    return std::optional<sasl::StoredUser>();
}

Result<std::vector<std::string>> UserStore::owners_of(const std::string& token)
{
    const Lookup answer = tokens_.find(token);
    if (answer.is_broken())
        return Error{Fault::broken, "token lookup failed"}; // the table's reason may hold the token
    std::vector<std::string> owners;
    if (answer.is_found())
        for (const std::string_view owner : split(answer.value(), ", \t"))
            owners.push_back(lower(owner));
    return owners;
}

sasl::UserAbilities UserStore::abilities()
{
    sasl::UserAbilities abilities;
    abilities.tokens = !tokens_.empty();
    if (path_.empty())
        return abilities; // a table cannot be asked for all
    const auto open = database();
    const auto all = [&](const char* scheme) { return open && (*open)->all_have(scheme).value_or(false); };
    abilities.scram_sha256 = all("SCRAM-SHA-256}");
    abilities.scram_sha1 = all("SCRAM-SHA-1}");
    abilities.plain = all("PLAIN");
    return abilities;
}

} // namespace bulkhead
