#include "config/config.h"

#include "base/text.h"
#include "config/expand.h"
#include "config/install_paths.h"
#include "config/known_parameters.h"
#include "config/machine.h"
#include "config/master_cf.h"
#include "config/values.h"
#include "config/variables.h"
#include "os/files.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <set>

namespace bulkhead
{

namespace
{

// Values whose $names get their meaning later, from a session or a recipient.
bool is_expanded_late(const KnownParameter& parameter)
{
    static constexpr std::array<std::string_view, 4> names{
        "command_execution_directory", "forward_path", "maillog_file_rotate_suffix", "smtpd_reject_footer"};
    return parameter.type == "string (expanded at use)" || parameter.type == "character set" ||
           std::ranges::find(names, parameter.name) != names.end();
}

} // namespace

Result<Config> Config::load(const std::string& config_directory, std::span<const std::string> overrides,
                            std::string_view process_name)
{
    TRY(MainCf main, MainCf::read(config_directory + "/main.cf"));
    const Setting* const name = main.find("multi_instance_name");
    const bool primary =
        name == nullptr || name->value.empty() || config_directory == default_config_directory();
    TRY_VOID(apply_variables(main, primary));
    return from(std::move(main), config_directory, overrides, process_name);
}

Result<Config> Config::from(MainCf main, const std::string& config_directory,
                            std::span<const std::string> overrides, std::string_view process_name)
{
    Config config;
    config.main_ = std::move(main);
    config.config_directory_ = config_directory;
    config.process_name_ = process_name;
    for (const std::string& assignment : overrides)
        TRY_VOID(config.main_.overlay(assignment));
    TRY_VOID(config.check());
    return config;
}

Result<> Config::override(std::string_view assignment)
{
    TRY_VOID(main_.overlay(assignment));
    machine_values_.clear();
    origin_from_file_.reset();
    return check();
}

// "/path" as the value of myorigin means the first line of that file (Debian).
static Result<std::string> first_line_of(const std::string& path)
{
    constexpr std::size_t limit = 4096;
    TRY(const std::string text, read_file(path, limit));
    return std::string(trim(std::string_view(text).substr(0, text.find('\n'))));
}

// Every loop goes through a value that the user has set, for the defaults have
// none among themselves: expanding what is set finds them all.
Result<> Config::check()
{
    for (const auto& [name, setting] : main_.settings()) {
        const auto known = find_known_parameter(name);
        if (!known || is_expanded_late(*known))
            continue;
        const auto value = expanded(name);
        if (!value)
            return Error{value.error().fault,
                         fmt::format("{}: {}: {}", setting.place(), name, value.error().context)};
    }
    if (const std::string origin = get("myorigin"); origin.starts_with('/')) {
        auto line = first_line_of(origin);
        if (!line)
            return Error{Fault::config,
                         fmt::format("{}: myorigin: {}", place("myorigin"), line.error().context)};
        origin_from_file_ = std::move(*line);
    }
    const std::string level = get("compatibility_level");
    if (!CompatibilityLevel::parse(level))
        return Error{Fault::config, fmt::format("{}: compatibility_level: bad value \"{}\"",
                                                place("compatibility_level"), printable(level))};
    return {};
}

Result<std::string> Config::expanded(std::string_view name) const
{
    return expand_name(name, [this](std::string_view inner) { return effective(inner); });
}

std::string Config::get(std::string_view name) const
{
    return expanded(name).value_or({});
}

Result<std::string> Config::expand_text(std::string_view text) const
{
    return expand(text, [this](std::string_view name) { return effective(name); });
}

std::optional<std::string> Config::raw(std::string_view name) const
{
    if (const Setting* setting = main_.find(name))
        return setting->value;
    return default_value(name);
}

std::optional<std::string> Config::effective(std::string_view name) const
{
    return name == "myorigin" && origin_from_file_ ? origin_from_file_ : raw(name);
}

std::optional<std::string> Config::default_value(std::string_view name) const
{
    if (name == "config_directory" && !config_directory_.empty())
        return config_directory_;
    if (auto value = machine_default(name))
        return value;
    if (const auto value = product_default(name))
        return std::string(*value);
    if (const auto known = find_known_parameter(name))
        return std::string(known->default_value);
    if (const auto parts = split_transport_name(name))
        return fmt::format("${}", parts->default_name);
    return std::nullopt;
}

// What must be asked of the system is asked once, so that it can be asked before the jail.
std::optional<std::string> Config::machine_default(std::string_view name) const
{
    if (name == "process_id")
        return std::to_string(::getpid());
    if (name == "process_name")
        return process_name_;
    if (name == "service_name")
        return service_name_;
    if (name != "myhostname" && name != "mydomain" && name != "mynetworks")
        return std::nullopt;
    if (const auto it = machine_values_.find(name); it != machine_values_.end())
        return it->second;

    // Each of the two names is the other's source; a setting that mentions the other
    // way round must not send us in circles.
    const auto setting_without = [this](std::string_view wanted, std::string_view mention) {
        const Setting* setting = main_.find(wanted);
        return setting != nullptr && setting->value.find(mention) == std::string::npos ? setting : nullptr;
    };
    // Nor must a way round over a third name: whoever comes back here meets this.
    machine_values_.insert_or_assign(std::string(name), name == "mynetworks" ? "" : "localdomain");
    std::string value;
    if (name == "myhostname") {
        value = system_host_name();
        if (value.find('.') == value.npos)
            value += setting_without("mydomain", "myhostname") ? "." + get("mydomain") : ".localdomain";
    } else if (name == "mydomain") {
        const std::string host =
            setting_without("myhostname", "mydomain") ? get("myhostname") : system_host_name();
        const auto dot = host.find('.');
        value = dot == host.npos ? "localdomain" : host.substr(dot + 1);
    } else {
        const auto protocols = get_list("inet_protocols");
        const auto wants = [&](std::string_view protocol) {
            return std::ranges::any_of(protocols, [&](const auto& p) { return p == protocol || p == "all"; });
        };
        value = interface_networks(get("mynetworks_style"), wants("ipv4"), wants("ipv6"));
    }
    machine_values_.insert_or_assign(std::string(name), value);
    return value;
}

std::string Config::place(std::string_view name) const
{
    const Setting* setting = main_.find(name);
    return setting != nullptr ? setting->place() : "built-in default";
}

template <typename T>
static Result<T> with_place(Result<T> value, const Config& config, std::string_view name)
{
    if (value)
        return value;
    return Error{value.error().fault,
                 fmt::format("{}: {}: {}", config.place(name), name, value.error().context)};
}

Result<bool> Config::get_bool(std::string_view name) const
{
    return with_place(parse_bool(get(name)), *this, name);
}

Result<std::int64_t> Config::get_int(std::string_view name) const
{
    return with_place(parse_int(get(name)), *this, name);
}

Result<std::int64_t> Config::get_seconds(std::string_view name, char unit) const
{
    return with_place(parse_seconds(get(name), unit), *this, name);
}

std::vector<std::string> Config::get_list(std::string_view name) const
{
    return parse_list(get(name));
}

std::string Config::transport_value(std::string_view transport, std::string_view suffix) const
{
    const std::string name = fmt::format("{}{}", transport, suffix);
    return raw(name) ? get(name) : get(transport_default_name(suffix));
}

CompatibilityLevel Config::compatibility_level() const
{
    return CompatibilityLevel::parse(get("compatibility_level")).value_or(CompatibilityLevel{});
}

std::vector<UnknownName> Config::unknown_names(std::span<const ServiceEntry> services) const
{
    std::set<std::string, std::less<>> used;
    const auto use = [&](std::string_view text) {
        for (std::string& name : referenced_names(text))
            used.insert(std::move(name));
    };
    for (const auto& [name, setting] : main_.settings())
        use(setting.value);
    for (const ServiceEntry& service : services)
        for (const std::string& argument : service.arguments)
            use(argument);
    for (std::string& name : get_list("smtpd_restriction_classes"))
        used.insert(std::move(name));

    std::vector<UnknownName> unknown;
    for (const auto& [name, setting] : main_.settings()) {
        if (find_known_parameter(name) || used.contains(name))
            continue;
        const auto parts = split_transport_name(name);
        if (parts && (services.empty() || std::ranges::any_of(services, [&](const ServiceEntry& service) {
                          return service.name == parts->transport;
                      })))
            continue;
        unknown.push_back({name, setting});
    }
    return unknown;
}

// Also another way to write the default is the default.
bool Config::differs_from_default(std::string_view name, std::string_view value) const
{
    const std::string by_default = default_value(name).value_or("");
    if (value == by_default)
        return false;
    const auto ours = expand_text(value);
    const auto theirs = expand_text(by_default);
    return !ours || !theirs || parse_list(*ours) != parse_list(*theirs);
}

std::vector<UnknownName> Config::unimplemented_names(std::span<const ServiceEntry> services) const
{
    std::vector<UnknownName> names;
    std::set<std::string, std::less<>> seen;
    const auto look_at = [&](std::string_view name, const Setting& setting) {
        const auto known = describe_parameter(name);
        if (known && known->status == ParameterStatus::not_yet && differs_from_default(name, setting.value) &&
            seen.emplace(name).second)
            names.push_back({std::string(name), setting});
    };
    for (const auto& [name, setting] : main_.settings())
        look_at(name, setting);
    for (const ServiceEntry& service : services)
        for (const std::string& assignment : service.overrides)
            if (const auto parts = parse_assignment(assignment))
                look_at(parts->first, {parts->second, service.file, service.line});
    return names;
}

} // namespace bulkhead
