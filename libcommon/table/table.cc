#include "table/table.h"

#include "base/text.h"
#include "config/values.h"
#include "log/log.h"
#include "table/decision.h"
#include "table/server_modules.h"
#include "table/settings.h"
#include "table/types.h"

#include <fmt/format.h>

#include <sysexits.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace bulkhead
{

namespace
{

struct Type {
    std::string_view name;
    TableOpener open;
};

// Berkeley DB is gone from the distributions: hash and btree are LMDB files too.
constexpr std::array<Type, 26> types{{
    {"btree", open_btree},       {"cdb", open_cdb},
    {"cidr", open_cidr},         {"debug", open_debug},
    {"environ", open_environ},   {"fail", open_fail},
    {"hash", open_hash},         {"inline", open_inline},
    {"internal", open_internal}, {"ldap", open_ldap},
    {"lmdb", open_lmdb},         {"memcache", open_memcache},
    {"mysql", open_mysql},       {"pcre", open_pcre},
    {"pgsql", open_pgsql},       {"pipemap", open_pipemap},
    {"proxy", open_proxy},       {"randmap", open_randmap},
    {"regexp", open_regexp},     {"socketmap", open_socketmap},
    {"sqlite", open_sqlite},     {"static", open_static},
    {"tcp", open_tcp},           {"texthash", open_texthash},
    {"unionmap", open_unionmap}, {"unix", open_unix},
}};

// Tables inside tables ("proxy:unionmap:{...}") may nest this deep.
constexpr int nesting_limit = 10;
thread_local int nesting = 0;

struct NestingGuard {
    NestingGuard() { ++nesting; }
    ~NestingGuard() { --nesting; }
};

} // namespace

std::pair<std::string_view, std::string_view> split_table_spec(std::string_view spec,
                                                               std::string_view default_type)
{
    spec = without_braces(spec);
    const auto colon = spec.find(':');
    if (colon == spec.npos || spec.front() == '/')
        return {default_type, spec};
    return {spec.substr(0, colon), spec.substr(colon + 1)};
}

Result<std::unique_ptr<Table>> open_table(std::string_view spec, const TableOptions& options)
{
    const auto [type, name] = split_table_spec(spec, options.default_type);
    const auto it = std::ranges::find(types, type, &Type::name);
    if (name.empty() || type.empty())
        return Error{
            Fault::config,
            fmt::format("open dictionary: expecting \"type:name\" form instead of \"{}\"", printable(spec))};
    if (it == types.end())
        return Error{Fault::config, fmt::format("unsupported dictionary type: {}", printable(type))};
    const NestingGuard guard;
    if (nesting > nesting_limit)
        return Error{Fault::limit, fmt::format("tables are nested more than {} deep", nesting_limit)};
    TRY(std::unique_ptr<Table> table, it->open(name, options));
    table->set_spec(fmt::format("{}:{}", type, name));
    return table;
}

std::vector<std::string_view> table_types()
{
    std::vector<std::string_view> names;
    const auto modules = server_module_types();
    for (const Type& type : types)
        if (std::ranges::find(modules, type.name) == modules.end() || is_server_module_installed(type.name))
            names.push_back(type.name);
    return names;
}

std::unique_ptr<Table> open_table_or_unavailable(std::string_view spec, const TableOptions& options)
{
    auto table = open_table(spec, options);
    if (table)
        return *std::move(table);
    std::string reason = fmt::format("{} is unavailable: {}", printable(spec), table.error().context);
    if (table_settings().open_error_is_fatal) {
        log::fatal(reason);
        log::flush(true);
        ::_exit(EX_CONFIG);
    }
    log::error(reason);
    auto unavailable = make_unavailable(std::move(reason));
    unavailable->set_spec(std::string(spec));
    return unavailable;
}

TableList TableList::open(std::string_view list, const TableOptions& options)
{
    TableList tables;
    tables.parameter_ = options.parameter;
    for (const std::string& element : parse_list(list)) {
        const auto type = split_table_spec(element, options.default_type).first;
        if (type == "nis" || type == "nisplus")
            continue;
        tables.tables_.push_back(open_table_or_unavailable(element, options));
    }
    return tables;
}

Result<> Table::for_each(const Visitor&) const
{
    return Error{Fault::config, fmt::format("table {}: sequence operation is not supported", spec_)};
}

Lookup TableList::find(std::string_view key, bool fixed_keys_only)
{
    for (const auto& table : tables_) {
        if (fixed_keys_only && !table->has_fixed_keys())
            continue;
        Lookup answer = table->find(key);
        if (answer.is_absent())
            continue;
        if (!parameter_.empty() && decisions_are_told())
            tell_decision(
                {parameter_, table->spec(), key, answer.is_found() ? answer.value() : answer.reason()});
        return answer;
    }
    return Lookup::absent();
}

bool TableList::may_block() const
{
    return std::ranges::any_of(tables_, [](const auto& table) { return table->may_block(); });
}

bool TableList::is_stale() const
{
    return std::ranges::any_of(tables_, [](const auto& table) { return table->is_stale(); });
}

} // namespace bulkhead
