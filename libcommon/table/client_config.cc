#include "table/client_config.h"

#include "base/text.h"
#include "config/install_paths.h"
#include "config/values.h"

#include <fmt/format.h>

namespace bulkhead
{

static std::string& main_cf_directory()
{
    static std::string directory;
    return directory;
}

void set_main_cf_of_tables(std::string config_directory)
{
    main_cf_directory() = std::move(config_directory);
}

Result<ClientConfig> ClientConfig::read(std::string_view name)
{
    ClientConfig config;
    if (name.starts_with('/') || name.starts_with('.')) {
        config.path_ = name;
        TRY(config.file_, MainCf::read(config.path_));
        return config;
    }
    const std::string& directory = main_cf_directory();
    TRY(config.main_, Config::load(directory.empty() ? default_config_directory() : directory));
    config.prefix_ = fmt::format("{}_", name);
    config.path_ = config.main_->config_directory() + "/main.cf";
    return config;
}

std::optional<std::string> ClientConfig::find(std::string_view name) const
{
    if (!main_) {
        const Setting* const setting = file_.find(name);
        return setting != nullptr ? std::optional(setting->value) : std::nullopt;
    }
    const std::string full = prefix_ + std::string(name);
    return main_->has_user_setting(full) ? std::optional(main_->get(full)) : std::nullopt;
}

bool ClientConfig::has(std::string_view name) const
{
    return find(name).has_value();
}

std::string ClientConfig::text(std::string_view name, std::string_view fallback)
{
    return find(name).value_or(std::string(fallback));
}

int ClientConfig::number(std::string_view name, int fallback, int least, int most)
{
    const auto written = find(name);
    if (!written)
        return fallback;
    const auto value = parse_int(trim(*written));
    if (value && *value >= least && *value <= most)
        return static_cast<int>(*value);
    complain(name,
             value ? fmt::format("{} is not between {} and {}", *value, least, most) : value.error().context);
    return fallback;
}

int ClientConfig::seconds(std::string_view name, int fallback)
{
    constexpr int most = 30 * 24 * 3600;
    const auto written = find(name);
    if (!written)
        return fallback;
    const auto value = parse_seconds(trim(*written), 's');
    if (value && *value >= 1 && *value <= most)
        return static_cast<int>(*value);
    complain(name,
             value ? fmt::format("{} is not between 1 and {} seconds", *value, most) : value.error().context);
    return fallback;
}

bool ClientConfig::flag(std::string_view name, bool fallback)
{
    const auto written = find(name);
    if (!written)
        return fallback;
    const auto value = parse_bool(trim(*written));
    if (value)
        return *value;
    complain(name, value.error().context);
    return fallback;
}

std::vector<std::string> ClientConfig::list(std::string_view name, std::string_view fallback)
{
    return parse_list(text(name, fallback));
}

void ClientConfig::complain(std::string_view name, std::string_view reason)
{
    if (complaint_)
        return;
    std::string place = path_;
    if (main_ && has(name))
        place = main_->place(prefix_ + std::string(name));
    else if (const Setting* const setting = file_.find(name); setting != nullptr)
        place = setting->place();
    complaint_.emplace(Fault::config, fmt::format("{}: {}{}: {}", place, prefix_, name, reason));
}

Result<> ClientConfig::verdict() const
{
    if (complaint_)
        return *complaint_;
    return {};
}

} // namespace bulkhead
