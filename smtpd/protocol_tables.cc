#include "protocol_tables.h"

#include "config/config.h"
#include "table/ask.h"

#include <algorithm>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

Result<MatchList> open_list(const Config& config, const Param<std::string>& param, ListKind kind,
                            bool with_subdomains = false)
{
    ListOptions options;
    options.kind = kind;
    options.parent_matches_subdomains = with_subdomains;
    auto list = MatchList::open(param(), options);
    if (!list)
        return Error{Fault::config, fmt::format("{}: {}: {}", config.place(param.name()), param.name(),
                                                list.error().context)};
    return list;
}

} // namespace

Result<ClientList> ClientList::open(const Config& config, const Param<std::string>& param,
                                    bool with_subdomains)
{
    ClientList list;
    TRY(list.list_, open_list(config, param, ListKind::hosts, with_subdomains));
    return list;
}

Task<bool> ClientList::contains(const Peer& client) const
{
    if (empty() || !client.network)
        co_return false;
    const std::string& name = client.name == "unknown" ? client.address : client.name;
    const auto match = [&] { return static_cast<bool>(list_.match_either(name, client.address)); };
    co_return co_await ask(list_.may_block(), match);
}

Result<ProtocolTables> ProtocolTables::open(const Config& config, const SmtpdParams& params)
{
    ProtocolTables tables;
    TRY(tables.forbidden_commands, open_list(config, params.forbidden_commands, ListKind::strings));
    TRY(tables.noop_commands, open_list(config, params.noop_commands, ListKind::strings));
    TRY(tables.xclient_hosts, ClientList::open(config, params.xclient_hosts));
    TRY(tables.xforward_hosts, ClientList::open(config, params.xforward_hosts));
    TRY(tables.verp_clients, ClientList::open(config, params.verp_clients));
    TRY(tables.upstream_proxies, ClientList::open(config, params.upstream_hosts));
    const auto& parents = params.parent_domains();
    const bool with_subdomains = std::ranges::find(parents, params.debug_peers.name()) != parents.end();
    TRY(tables.debug_peers, ClientList::open(config, params.debug_peers, with_subdomains));
    tables.discarded_keywords = TableList::open(params.discarded_keyword_maps());
    tables.command_filter = TableList::open(params.command_filter());
    tables.reject_footers = TableList::open(params.reject_footer_maps());
    return tables;
}

bool ProtocolTables::is_stale() const
{
    return forbidden_commands.is_stale() || noop_commands.is_stale() || xclient_hosts.is_stale() ||
           xforward_hosts.is_stale() || verp_clients.is_stale() || upstream_proxies.is_stale() ||
           debug_peers.is_stale() || discarded_keywords.is_stale() || command_filter.is_stale() ||
           reject_footers.is_stale();
}

} // namespace bulkhead
