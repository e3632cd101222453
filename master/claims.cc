#include "claims.h"

#include <sys/stat.h>

#include <optional>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

struct Claim {
    std::string key;
    std::string place; // where the configuration says so
    std::string what;  // for people
};

constexpr std::string_view listener_mark = "listener ";

constexpr std::string_view folder_mark = "folder ";

// One folder has many names: it is known by this as soon as it exists.
std::optional<std::string> identity_of(const std::string& path)
{
    struct stat st{};
    if (::stat(path.c_str(), &st) != 0)
        return std::nullopt;
    return fmt::format("{}{}:{}", folder_mark, st.st_dev, st.st_ino);
}

void add_folder(std::vector<Claim>& to, const std::string& path, const std::string& place,
                std::string_view parameter)
{
    const std::string what = fmt::format("{} {}", parameter, path);
    to.push_back({fmt::format("{}{}", folder_mark, path), place, what});
    if (auto identity = identity_of(path))
        to.push_back({std::move(*identity), place, what});
}

std::vector<Claim> claims_of(const EnvironmentPlan& plan)
{
    std::vector<Claim> claims;
    const std::string main_cf = plan.config_directory + "/main.cf";
    claims.push_back({"name " + plan.name, main_cf, "multi_instance_name " + plan.name});
    add_folder(claims, plan.queue_directory(), plan.queue_place, "queue_directory");
    add_folder(claims, plan.data_directory, plan.data_place, "data_directory");
    if (!plan.rootless)
        claims.push_back(
            {fmt::format("user {}", plan.owner), plan.owner_place, "mail_owner " + plan.owner_name});
    for (const ServicePlan& service : plan.services)
        for (const Endpoint& endpoint : service.endpoints)
            if (endpoint.path.empty()) // a UNIX socket is as good as its spool
                claims.push_back({fmt::format("{}{}", listener_mark, endpoint.key), service.place,
                                  fmt::format("service {}: {}", service.name, endpoint.key)});
    return claims;
}

} // namespace

Result<Claims::Wish> Claims::check(const EnvironmentPlan& plan) const
{
    Wish wish{plan.name, plan.config_directory, {}};
    for (Claim& claim : claims_of(plan)) {
        const auto found = owners_.find(claim.key);
        if (found != owners_.end() && found->second.config_directory != plan.config_directory)
            return Error{
                Fault::config,
                fmt::format("{}: {} is already used by environment {} ({}); environment {} cannot have it",
                            claim.place, claim.what, found->second.name, found->second.config_directory,
                            plan.name)};
        wish.keys.push_back(std::move(claim.key));
    }
    return wish;
}

void Claims::grant(Wish wish)
{
    release(wish.config_directory);
    const std::vector<std::string> paths = wish.keys;
    for (const std::string_view key : paths) // some were made since the check
        if (key.starts_with(folder_mark) && key[folder_mark.size()] == '/')
            if (auto identity = identity_of(std::string(key.substr(folder_mark.size()))))
                wish.keys.push_back(std::move(*identity));
    for (const std::string& key : wish.keys)
        owners_.insert_or_assign(key, Owner{wish.name, wish.config_directory});
    by_folder_[wish.config_directory] = std::move(wish.keys);
}

void Claims::release(const std::string& config_directory)
{
    const auto found = by_folder_.find(config_directory);
    if (found == by_folder_.end())
        return;
    for (const std::string& key : found->second)
        owners_.erase(key);
    by_folder_.erase(found);
}

void Claims::release_listeners(const std::string& config_directory)
{
    const auto found = by_folder_.find(config_directory);
    if (found == by_folder_.end())
        return;
    std::erase_if(found->second, [this](const std::string& key) {
        return key.starts_with(listener_mark) && owners_.erase(key) > 0;
    });
}

} // namespace bulkhead
