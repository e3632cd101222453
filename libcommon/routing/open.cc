#include "routing/open.h"

#include "config/environment.h"
#include "config/master_cf.h"
#include "table/decision.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace bulkhead
{

namespace
{

Result<MatchList> open_domains(const RewriteParams& params, const Param<std::string>& param)
{
    ListOptions options;
    options.kind = ListKind::domains;
    options.parameter = param.name();
    options.parent_matches_subdomains = std::ranges::find(params.parent_domain_matches(), param.name()) !=
                                        params.parent_domain_matches().end();
    return MatchList::open(param(), options);
}

RoutingValues values_of(const RewriteParams& params, const std::string& myhostname)
{
    RoutingValues values;
    values.rules.myorigin = params.myorigin();
    values.rules.mydomain = params.mydomain();
    values.rules.remote_domain = params.remote_header_rewrite_domain();
    values.rules.append_at_myorigin = params.append_at_myorigin();
    values.rules.append_dot_mydomain = params.append_dot_mydomain();
    values.rules.swap_bangpath = params.swap_bangpath();
    values.rules.allow_percent_hack = params.allow_percent_hack();
    values.myhostname = myhostname;
    values.empty_address_recipient = params.empty_address_recipient();
    values.local_transport = params.local_transport();
    values.virtual_transport = params.virtual_transport();
    values.relay_transport = params.relay_transport();
    values.default_transport = params.default_transport();
    values.relayhost = params.relayhost();
    values.null_relayhost_key = params.null_relayhost_key();
    values.null_transport_key = params.null_transport_key();
    values.recipient_delimiter = params.recipient_delimiter();
    values.resolve_dequoted_address = params.resolve_dequoted_address();
    values.resolve_null_domain = params.resolve_null_domain();
    values.resolve_numeric_domain = params.resolve_numeric_domain();
    values.show_table_name = params.show_table_name();
    values.allow_min_user = params.allow_min_user();
    values.parents_in_transport_maps = std::ranges::find(params.parent_domain_matches(), "transport_maps") !=
                                       params.parent_domain_matches().end();
    return values;
}

} // namespace

// The tables that are the same for probes.
static Result<RoutingTables> open_common_tables(const RewriteParams& params)
{
    RoutingTables tables;
    LocalDomains::Settings settings{params.mydestination(), params.inet_interfaces(),
                                    params.proxy_interfaces()};
    TRY(tables.local, LocalDomains::open(settings));
    TRY(tables.virtual_alias_domains, open_domains(params, params.virtual_alias_domains));
    TRY(tables.virtual_mailbox_domains, open_domains(params, params.virtual_mailbox_domains));
    TRY(tables.relay_domains, open_domains(params, params.relay_domains));
    tables.sender_recipient_transport = TableList::open(params.sender_recipient_transport_maps);
    tables.relocated = TableList::open(params.relocated_maps);
    return tables;
}

Result<Resolver> open_resolver(const RewriteParams& params, const std::string& myhostname)
{
    TRY(RoutingTables tables, open_common_tables(params));
    tables.transport = TableList::open(params.transport_maps);
    tables.sender_default_transport = TableList::open(params.sender_default_transport_maps);
    tables.sender_relayhost = TableList::open(params.sender_relayhost_maps);
    return Resolver(values_of(params, myhostname), std::move(tables));
}

Result<std::optional<Resolver>> open_probe_resolver(const RewriteParams& params,
                                                    const std::string& myhostname)
{
    const ProbeRoutes& probe = params.probe;
    const bool differs = probe.local_transport() != params.local_transport() ||
                         probe.virtual_transport() != params.virtual_transport() ||
                         probe.relay_transport() != params.relay_transport() ||
                         probe.default_transport() != params.default_transport() ||
                         probe.relayhost() != params.relayhost() ||
                         probe.transport_maps() != params.transport_maps() ||
                         probe.sender_relayhost_maps() != params.sender_relayhost_maps() ||
                         probe.sender_default_transport_maps() != params.sender_default_transport_maps();
    if (!differs)
        return std::optional<Resolver>{};
    TRY(RoutingTables tables, open_common_tables(params));
    tables.transport = TableList::open(probe.transport_maps);
    tables.sender_default_transport = TableList::open(probe.sender_default_transport_maps);
    tables.sender_relayhost = TableList::open(probe.sender_relayhost_maps);
    RoutingValues values = values_of(params, myhostname);
    values.local_transport = probe.local_transport();
    values.virtual_transport = probe.virtual_transport();
    values.relay_transport = probe.relay_transport();
    values.default_transport = probe.default_transport();
    values.relayhost = probe.relayhost();
    return std::optional(Resolver(std::move(values), std::move(tables)));
}

bool are_rules(const RewriteParams& params)
{
    const auto has_table = [](const Param<std::string>* list) {
        return list->operator()().find_first_of(":/") != std::string::npos;
    };
    const auto is_set = [](const Param<std::string>* maps) { return !maps->operator()().empty(); };
    const std::array lists{&params.mydestination, &params.virtual_alias_domains,
                           &params.virtual_mailbox_domains, &params.relay_domains};
    const std::array maps{&params.transport_maps, &params.sender_recipient_transport_maps,
                          &params.sender_relayhost_maps, &params.sender_default_transport_maps,
                          &params.relocated_maps};
    return std::ranges::none_of(lists, has_table) && std::ranges::none_of(maps, is_set);
}

std::unique_ptr<RoutingRules> RoutingRules::open(const Config& config)
{
    RewriteParams params;
    if (!params.load(config) || !are_rules(params))
        return nullptr;
    auto resolver = open_resolver(params, config.get("myhostname"));
    return resolver ? std::unique_ptr<RoutingRules>(new RoutingRules(*std::move(resolver))) : nullptr;
}

// As the service "rewrite" has them: its own -o counts, not that of whoever asks.
static Result<Config> rewrite_config(const std::string& directory)
{
    TRY(const Config plain, Config::load(directory, {}, "trivial-rewrite"));
    TRY(const MasterCf master, MasterCf::read(directory + "/master.cf", plain.compatibility_level()));
    const ServiceEntry* service = master.find("rewrite", ServiceType::unix_stream);
    if (service == nullptr || service->overrides.empty())
        return plain;
    return Config::load(directory, service->overrides, "trivial-rewrite");
}

Result<std::unique_ptr<LocalRewriting>> LocalRewriting::open(const std::string& config_directory)
{
    TRY(const Config config, rewrite_config(config_directory));
    RewriteParams params;
    TRY_VOID(params.load(config));
    TRY(Resolver resolver, open_resolver(params, config.get("myhostname")));
    return std::unique_ptr<LocalRewriting>(new LocalRewriting(std::move(resolver)));
}

Result<std::string> LocalRewriting::rewrite(ipc::RewriteContext context, std::string_view address)
{
    std::string canonical = resolver_.rewrite(context, address);
    if (canonical != address)
        tell_decision({"myorigin", "", address, canonical});
    return canonical;
}

} // namespace bulkhead
