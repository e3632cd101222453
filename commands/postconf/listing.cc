#include "listing.h"

#include "base/text.h"
#include "config/config.h"
#include "config/coverage.h"
#include "config/master_cf.h"
#include "log/log.h"
#include "main_cf_remarks.h"
#include "os/files.h"
#include "parameter_names.h"
#include "printing.h"
#include "service_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <set>

namespace bulkhead::postconf
{

namespace
{

// Both files, and what names mean in them.
struct Files {
    Config config;
    std::vector<ServiceLine> services;
};

Result<Config> read_config(const Options& options)
{
    for (const std::string& assignment : options.overrides)
        if (!parse_assignment(assignment))
            return Error{Fault::config,
                         fmt::format("invalid parameter override: {}: missing '=' after attribute name",
                                     printable(assignment))};
    if (options.defaults)
        return Config::from(MainCf(), options.config_directory, {}, "postconf");
    TRY(const std::string text, read_file(options.main_cf(), MainCf::size_limit));
    for (const std::string& remark : main_cf_remarks(text, options.main_cf(), !options.quiet))
        log::warn(remark);
    TRY(MainCf main, MainCf::parse(text, options.main_cf()));
    if (options.names_directory)
        TRY_VOID(main.overlay("config_directory=" + options.config_directory));
    return Config::from(std::move(main), options.config_directory, options.overrides, "postconf");
}

Result<std::vector<ServiceLine>> read_services(const Options& options, bool required)
{
    auto text = read_file(options.master_cf(), MasterCf::size_limit);
    if (!text && required)
        return text.error();
    if (!text) {
        log::warn(text.error().context);
        return std::vector<ServiceLine>();
    }
    std::vector<std::string> warnings;
    auto services = parse_services(*text, options.master_cf(), warnings);
    for (const std::string& warning : warnings)
        log::warn(warning);
    return services;
}

Result<Files> read_files(const Options& options)
{
    TRY(Config config, read_config(options));
    TRY(std::vector<ServiceLine> services, read_services(options, options.job != Job::parameters));
    return Files{std::move(config), std::move(services)};
}

void warn_all(const std::vector<std::string>& lines)
{
    for (const std::string& line : lines)
        log::warn(line);
}

void print(const Printer& printer)
{
    std::fputs(printer.text().c_str(), stdout);
}

Result<std::string> shown_value(const Config& config, const Options& options, std::string_view name)
{
    const auto raw = options.defaults ? config.default_value(name) : config.raw(name);
    if (!options.expand || is_expanded_late(name))
        return raw.value_or("");
    return options.defaults ? config.expand_text(raw.value_or("")) : config.expanded(name);
}

Result<> show_named(const Options& options, const Config& config, const ParameterNames& names,
                    Printer& printer)
{
    for (const std::string& name : options.arguments) {
        if (!names.is_known(name)) {
            log::warn(fmt::format("{}: unknown parameter", printable(name, true)));
        } else if (!options.only_set || config.has_user_setting(name)) {
            TRY(const std::string value, shown_value(config, options, name));
            printer.pair({}, name, value);
        }
    }
    return {};
}

Result<> show_classes(const Options& options, const Config& config, const ParameterNames& names,
                      Printer& printer)
{
    std::set<std::string> shown;
    if (options.builtin)
        shown.insert(names.builtin().begin(), names.builtin().end());
    if (options.service)
        shown.insert(names.service().begin(), names.service().end());
    if (options.user && !options.defaults)
        shown.insert(names.user().begin(), names.user().end());
    for (const std::string& name : shown) {
        if (options.only_set && !config.has_user_setting(name))
            continue;
        TRY(const std::string value, shown_value(config, options, name));
        printer.pair({}, name, value);
    }
    return {};
}

// What -x of a service means: its own -o settings count, and its name is known.
Config config_of(const Config& config, const ServiceLine& service)
{
    Config own = config;
    own.set_service_name(service.fields[0]);
    for (const auto& [name, value] : service.parameters())
        if (const auto taken = own.override(name + "=" + value); !taken)
            log::warn(fmt::format("{}: {}", service.identity(), taken.error().context));
    return own;
}

ServiceLine expanded_service(const Config& config, ServiceLine service)
{
    const Config own = config_of(config, service);
    for (ServiceLine::Argument& argument : service.arguments) {
        const auto equals = argument.value.find('=');
        if (!argument.has_value || equals == std::string::npos)
            continue;
        const std::string name = argument.value.substr(0, equals);
        if (!is_expanded_late(name))
            argument.value = name + "=" + own.expanded(name).value_or(argument.value.substr(equals + 1));
    }
    return service;
}

void show_service(const Options& options, const ServiceLine& service, Printer& printer)
{
    Printer::Fields fields;
    for (std::size_t i = 0; i < field_names.size(); ++i)
        fields.emplace_back(field_names[i],
                            i + 1 < field_names.size() ? service.fields[i] : service.command());
    printer.item(service.text(options.fold), fields);
}

// False when the pattern names nothing of this service.
bool show_parts(const Options& options, const ServiceLine& service, const ServicePattern& pattern,
                Printer& printer)
{
    if (options.job == Job::services) {
        show_service(options, service, printer);
        return true;
    }
    bool matched = false;
    const auto show = [&](std::string_view name, std::string_view value) {
        if (!pattern.matches_name(name))
            return;
        matched = true;
        printer.pair(service.identity(), name, value);
    };
    if (options.job == Job::service_parameters) {
        for (const auto& [name, value] : service.parameters())
            show(name, value);
        return matched;
    }
    for (std::size_t i = 0; i + 1 < field_names.size(); ++i)
        show(field_names[i], service.fields[i]);
    constexpr std::string_view last = field_names.back();
    if (!options.fold || options.json || options.hide_value || !pattern.matches_name(last)) {
        show(last, service.command());
        return matched;
    }
    const std::string prefix = options.hide_name ? "" : fmt::format("{}/{} = ", service.identity(), last);
    printer.item(service.command(true, prefix), {});
    return true;
}

std::string_view wanted_pattern(Job job)
{
    return job == Job::services ? "-M option requires service_name[/type]"
           : job == Job::fields ? "-F option requires service_name[/type[/field]]"
                                : "-P option requires service_name[/type[/parameter]]";
}

Result<ServicePattern> parse_pattern(const Options& options, std::string_view argument)
{
    ServicePattern pattern;
    if (!pattern.parse(argument, 1, options.job == Job::services ? 2 : 3))
        return Error{Fault::config, std::string(wanted_pattern(options.job))};
    const bool names_field = options.job == Job::fields && pattern.part(2) != "*";
    if (names_field && std::ranges::find(field_names, pattern.part(2)) == field_names.end())
        return Error{Fault::config,
                     fmt::format("invalid service attribute name: \"{}\"", printable(pattern.part(2)))};
    return pattern;
}

} // namespace

Result<> show_parameters(const Options& options)
{
    TRY(const Files files, read_files(options));
    const ParameterNames names(files.config, files.services);
    if (!options.defaults)
        warn_all(names.undefined(options.main_cf(), options.master_cf()));
    Printer printer(options);
    TRY_VOID(options.arguments.empty() ? show_classes(options, files.config, names, printer)
                                       : show_named(options, files.config, names, printer));
    print(printer);
    if (!options.defaults)
        warn_all(names.unused(options.main_cf(), options.master_cf()));
    return {};
}

Result<> show_services(const Options& options)
{
    TRY(const Files files, read_files(options));
    const ParameterNames names(files.config, files.services);
    warn_all(names.undefined(options.main_cf(), options.master_cf()));
    std::vector<ServiceLine> services = files.services;
    if (options.expand)
        for (ServiceLine& service : services)
            service = expanded_service(files.config, std::move(service));

    Printer printer(options);
    std::vector<std::string> requests = options.arguments;
    if (requests.empty())
        requests.emplace_back("*");
    for (const std::string& request : requests) {
        TRY(const ServicePattern pattern, parse_pattern(options, request));
        bool matched = false;
        for (const ServiceLine& service : services)
            if (pattern.matches(service) && show_parts(options, service, pattern, printer))
                matched = true;
        if (!matched && !options.arguments.empty())
            log::warn(fmt::format("unmatched request: \"{}\"", printable(request, true)));
    }
    print(printer);
    warn_all(names.unused_in_services(options.master_cf()));
    return {};
}

void show_coverage()
{
    std::fputs(coverage_text(parameter_coverage()).c_str(), stdout);
}

} // namespace bulkhead::postconf
