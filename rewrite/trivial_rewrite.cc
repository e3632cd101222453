#include "trivial_rewrite.h"

#include "log/log.h"
#include "table/ask.h"

#include <fmt/format.h>

#include <algorithm>

namespace bulkhead
{

// How often the tables are looked at for changes.
static constexpr Seconds table_check_interval{1};

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
    values.parents_in_transport_maps = std::ranges::find(params.parent_domain_matches(), "transport_maps") !=
                                       params.parent_domain_matches().end();
    return values;
}

} // namespace

Result<Resolver> open_resolver(const RewriteParams& params, const std::string& myhostname)
{
    RoutingTables tables;
    LocalDomains::Settings settings{params.mydestination(), params.inet_interfaces(),
                                    params.proxy_interfaces()};
    TRY(tables.local, LocalDomains::open(settings));
    TRY(tables.virtual_alias_domains, open_domains(params, params.virtual_alias_domains));
    TRY(tables.virtual_mailbox_domains, open_domains(params, params.virtual_mailbox_domains));
    TRY(tables.relay_domains, open_domains(params, params.relay_domains));
    tables.transport = TableList::open(params.transport_maps());
    tables.sender_recipient_transport = TableList::open(params.sender_recipient_transport_maps());
    tables.sender_default_transport = TableList::open(params.sender_default_transport_maps());
    tables.sender_relayhost = TableList::open(params.sender_relayhost_maps());
    tables.relocated = TableList::open(params.relocated_maps());
    return Resolver(values_of(params, myhostname), std::move(tables));
}

Result<> TrivialRewrite::before_jail()
{
    TRY(resolver_, open_resolver(params_, common().myhostname()));
    return {};
}

void TrivialRewrite::notice_changes()
{
    const SteadyTime now = SteadyClock::now();
    if (now < next_look_)
        return;
    next_look_ = now + table_check_interval;
    if (resolver_->is_stale() && !is_draining()) {
        log::info("a table has changed -- restarting");
        retire();
    }
}

Task<ipc::Message> TrivialRewrite::answer(const ipc::Message& request)
{
    notice_changes();
    const auto refuse = [](const Error& error) {
        log::warn(error.context);
        return ipc::failure(error.context);
    };
    if (request.kind() == ipc::Kind::rewrite) {
        const auto asked = ipc::decode_rewrite(request);
        if (!asked)
            co_return refuse(asked.error());
        const std::string canonical = resolver_->rewrite(asked->context, asked->address);
        co_return ipc::encode_rewritten(canonical);
    }
    if (request.kind() == ipc::Kind::resolve) {
        const auto asked = ipc::decode_resolve(request);
        if (!asked)
            co_return refuse(asked.error());
        const auto resolve = [&] { return resolver_->resolve(asked->sender, asked->address); };
        const auto route = co_await ask(resolver_->may_block(), resolve);
        if (!route)
            co_return refuse(route.error());
        co_return ipc::encode(*route);
    }
    co_return refuse(Error{Fault::malformed, "a request that trivial-rewrite does not know"});
}

} // namespace bulkhead
