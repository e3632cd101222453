#include "protocol_tables.h"

#include "config/config.h"
#include "table/ask.h"

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

Result<MatchList> open_list(const Config& config, const Param<std::string>& param, ListKind kind)
{
    ListOptions options;
    options.kind = kind;
    auto list = MatchList::open(param(), options);
    if (!list)
        return Error{Fault::config, fmt::format("{}: {}: {}", config.place(param.name()), param.name(),
                                                list.error().context)};
    return list;
}

} // namespace

Result<ClientList> ClientList::open(const Config& config, const Param<std::string>& param)
{
    ClientList list;
    TRY(list.addresses_, open_list(config, param, ListKind::addresses));
    TRY(list.names_, open_list(config, param, ListKind::domains));
    return list;
}

Task<bool> ClientList::contains(const Peer& client) const
{
    if (empty() || !client.network)
        co_return false;
    const auto match = [&] {
        return static_cast<bool>(addresses_.match(client.address)) ||
               (client.name != "unknown" && static_cast<bool>(names_.match(client.name)));
    };
    co_return co_await ask(addresses_.may_block(), match);
}

Result<ProtocolTables> ProtocolTables::open(const Config& config, const SmtpdParams& params)
{
    ProtocolTables tables;
    TRY(tables.forbidden_commands, open_list(config, params.forbidden_commands, ListKind::strings));
    TRY(tables.noop_commands, open_list(config, params.noop_commands, ListKind::strings));
    TRY(tables.xclient_hosts, ClientList::open(config, params.xclient_hosts));
    TRY(tables.xforward_hosts, ClientList::open(config, params.xforward_hosts));
    TRY(tables.upstream_proxies, ClientList::open(config, params.upstream_hosts));
    tables.discarded_keywords = TableList::open(params.discarded_keyword_maps());
    tables.command_filter = TableList::open(params.command_filter());
    tables.reject_footers = TableList::open(params.reject_footer_maps());
    return tables;
}

bool ProtocolTables::is_stale() const
{
    return forbidden_commands.is_stale() || noop_commands.is_stale() || xclient_hosts.is_stale() ||
           xforward_hosts.is_stale() || upstream_proxies.is_stale() || discarded_keywords.is_stale() ||
           command_filter.is_stale() || reject_footers.is_stale();
}

} // namespace bulkhead
