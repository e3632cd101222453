#include "parameter_names.h"

#include "base/text.h"
#include "config/expand.h"
#include "config/known_parameters.h"
#include "config/values.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>

namespace bulkhead::postconf
{

namespace
{

// Table types whose "name" may stand for settings name_<suffix> in main.cf.
struct TableSuffixes {
    std::string_view type;
    std::span<const std::string_view> suffixes;
};
constexpr std::string_view common_sql[] = {
    "additional_conditions", "expansion_limit", "domain", "query", "result_format", "select_field", "table",
    "where_field",           "select_function", "dbname", "dbpath"};
constexpr std::string_view server_sql[] = {
    "hosts",         "user",          "password",       "option_file",        "option_group", "charset",
    "encoding",      "idle_interval", "retry_interval", "require_result_set", "tls_CAfile",   "tls_CApath",
    "tls_cert_file", "tls_ciphers",   "tls_key_file",   "tls_verify_cert",    "result_filter"};
constexpr std::string_view ldap[] = {"bind",
                                     "bind_dn",
                                     "bind_pw",
                                     "cache",
                                     "cache_expiry",
                                     "cache_size",
                                     "chase_referrals",
                                     "debuglevel",
                                     "dereference",
                                     "domain",
                                     "expansion_limit",
                                     "leaf_result_attribute",
                                     "query_filter",
                                     "recursion_limit",
                                     "require_cert",
                                     "result_attribute",
                                     "result_filter",
                                     "result_format",
                                     "sasl_authz_id",
                                     "sasl_mechs",
                                     "sasl_minssf",
                                     "sasl_realm",
                                     "scope",
                                     "search_base",
                                     "server_host",
                                     "server_port",
                                     "size_limit",
                                     "special_result_attribute",
                                     "start_tls",
                                     "terminal_result_attribute",
                                     "timeout",
                                     "tls_ca_cert_dir",
                                     "tls_ca_cert_file",
                                     "tls_cert",
                                     "tls_cipher_suite",
                                     "tls_key",
                                     "tls_random_file",
                                     "tls_require_cert",
                                     "version"};
constexpr std::string_view memcache[] = {"backup",      "data_size_limit", "domain",  "flags",
                                         "key_format",  "line_size_limit", "max_try", "memcache",
                                         "retry_pause", "timeout",         "ttl"};
constexpr std::array<TableSuffixes, 8> table_suffixes{{
    {"ldap", ldap},
    {"memcache", memcache},
    {"mysql", common_sql},
    {"mysql", server_sql},
    {"pgsql", common_sql},
    {"pgsql", server_sql},
    {"sqlite", common_sql},
    {"mongodb", common_sql},
}};

bool is_delivery_agent(std::string_view program)
{
    static constexpr std::array<std::string_view, 6> agents{"error", "lmtp", "local",
                                                            "pipe",  "smtp", "virtual"};
    return std::ranges::find(agents, program) != agents.end();
}

// "type:name" elements of a value, also those inside of other tables' braces.
void for_each_table(std::string_view value, const auto& use, int depth = 0)
{
    constexpr int deepest = 10;
    if (depth > deepest)
        return;
    for (const std::string& element : parse_list(value)) {
        std::string_view text = without_braces(element);
        while (text.starts_with("proxy:"))
            text.remove_prefix(std::string_view("proxy:").size());
        const auto colon = text.find(':');
        if (colon == text.npos)
            continue;
        const std::string_view name = text.substr(colon + 1);
        if (name.starts_with('{'))
            for_each_table(without_braces(name), use, depth + 1);
        else
            use(text.substr(0, colon), name);
    }
}

} // namespace

bool is_expanded_late(std::string_view name)
{
    static constexpr std::array<std::string_view, 2> others{"command_execution_directory", "forward_path"};
    const auto known = find_known_parameter(name);
    return std::ranges::find(others, name) != others.end() ||
           (known && known->type == "string (expanded at use)");
}

ParameterNames::ParameterNames(const Config& config, const std::vector<ServiceLine>& services)
    : config_(config), services_(services)
{
    for (const KnownParameter& known : known_parameters()) {
        const bool listed = known.origin == ParameterOrigin::builtin ||
                            known.origin == ParameterOrigin::own || known.origin == ParameterOrigin::service;
        if (listed || (known.origin == ParameterOrigin::later && config.has_user_setting(known.name)))
            builtin_.emplace(known.name);
        else if (known.origin == ParameterOrigin::legacy && config.has_user_setting(known.name))
            user_.emplace(known.name);
    }
    add_services();
    add_references();
    for (const ServiceLine& service : services_)
        look_into(service);
}

bool ParameterNames::is_known(std::string_view name) const
{
    const std::string text(name);
    return builtin_.contains(text) || service_.contains(text) || user_.contains(text) ||
           find_known_parameter(name);
}

// x_destination_concurrency_limit and its like for each delivery service.
void ParameterNames::add_services()
{
    for (const ServiceLine& service : services_) {
        const std::string_view program = service.fields[7];
        const bool delivers = is_delivery_agent(program) && service.fields[1] == "unix";
        const bool runs_command = program == "pipe" || program == "spawn";
        for (const std::string_view suffix : transport_suffixes()) {
            std::string name = fmt::format("{}{}", service.fields[0], suffix);
            if ((suffix == "_time_limit" ? runs_command : delivers) && !builtin_.contains(name))
                service_.insert(std::move(name));
        }
    }
}

void ParameterNames::add_reference(const std::string& name)
{
    if (is_known(name))
        return;
    if (config_.has_user_setting(name))
        user_.insert(name);
    else
        undefined_in_main_.insert(name);
}

void ParameterNames::add_table_names(std::string_view value)
{
    for_each_table(value, [this](std::string_view type, std::string_view table) {
        if (table.starts_with('/') || table.starts_with('.'))
            return;
        for (const TableSuffixes& row : table_suffixes)
            for (const std::string_view suffix : row.suffixes)
                if (std::string name = fmt::format("{}_{}", table, suffix);
                    row.type == type && config_.has_user_setting(name))
                    user_.insert(std::move(name));
    });
}

void ParameterNames::add_references()
{
    for (const std::string& name : config_.get_list("smtpd_restriction_classes"))
        add_reference(name);
    for (const auto& [name, setting] : config_.main_cf().settings()) {
        if (is_expanded_late(name))
            continue;
        for (const std::string& mentioned : referenced_names(setting.value))
            add_reference(mentioned);
        add_table_names(config_.expanded(name).value_or(setting.value));
    }
}

void ParameterNames::look_into(const ServiceLine& service)
{
    const auto parameters = service.parameters();
    std::set<std::string> used;
    const auto use = [&](const std::string& name) {
        used.insert(name);
        if (parameters.contains(name) || is_known(name))
            return;
        if (config_.has_user_setting(name))
            user_.insert(name);
        else
            undefined_in_master_.insert(name);
    };
    for (const auto& [name, value] : parameters) {
        if (name == "smtpd_restriction_classes")
            for (const std::string& each : parse_list(value))
                use(each);
        if (is_expanded_late(name))
            continue;
        for (const std::string& mentioned : referenced_names(value))
            use(mentioned);
        add_table_names(value);
    }
    for (const auto& [name, value] : parameters)
        if (!used.contains(name) && !is_known(name) && !undefined_in_main_.contains(name))
            unused_in_master_.push_back(name + "=" + value);
}

std::vector<std::string> ParameterNames::undefined(const std::string& main_file,
                                                   const std::string& master_file) const
{
    std::vector<std::string> lines;
    for (const std::string& name : undefined_in_master_)
        lines.push_back(fmt::format("{}: undefined parameter: {}", master_file, printable(name)));
    for (const std::string& name : undefined_in_main_)
        lines.push_back(fmt::format("{}: undefined parameter: {}", main_file, printable(name)));
    return lines;
}

std::vector<std::string> ParameterNames::unused(const std::string& main_file,
                                                const std::string& master_file) const
{
    std::vector<std::string> lines;
    for (const auto& [name, setting] : config_.main_cf().settings())
        if (!is_known(name))
            lines.push_back(
                fmt::format("{}: unused parameter: {}={}", main_file, name, printable(setting.value, true)));
    const auto more = unused_in_services(master_file);
    lines.insert(lines.end(), more.begin(), more.end());
    return lines;
}

std::vector<std::string> ParameterNames::unused_in_services(const std::string& master_file) const
{
    std::vector<std::string> lines;
    for (const std::string& assignment : unused_in_master_)
        lines.push_back(fmt::format("{}: unused parameter: {}", master_file, printable(assignment, true)));
    return lines;
}

} // namespace bulkhead::postconf
