#include "routing/resolver.h"

#include "base/text.h"
#include "mail/address.h"
#include "table/decision.h"

#include <fmt/format.h>

namespace bulkhead
{

using ipc::AddressClass;
using ipc::Resolved;

namespace
{

// "a%b%c@here": so many times we follow what a sender has written.
constexpr int max_routes = 20;

struct Channel {
    std::string_view transport;
    std::string_view nexthop;
};

Channel split_channel(std::string_view value)
{
    const auto colon = value.find(':');
    if (colon == value.npos)
        return {value, {}};
    return {value.substr(0, colon), value.substr(colon + 1)};
}

Resolved refusal(std::string text, std::string recipient)
{
    return {"error", std::move(text), std::move(recipient), AddressClass::error};
}

Error broken(std::string_view parameter, const Lookup& answer)
{
    return {Fault::broken, fmt::format("{} lookup failure: {}", parameter, answer.reason())};
}

Result<bool> is_listed(const ListMatch& match)
{
    if (match.is_broken())
        return Error{Fault::broken, match.reason};
    return static_cast<bool>(match);
}

// Four numbers without brackets.
bool is_numeric(std::string_view domain)
{
    return domain.find_first_not_of("0123456789.") == domain.npos;
}

} // namespace

bool RoutingTables::may_block() const
{
    return local.may_block() || virtual_alias_domains.may_block() || virtual_mailbox_domains.may_block() ||
           relay_domains.may_block() || transport.may_block() || sender_recipient_transport.may_block() ||
           sender_default_transport.may_block() || sender_relayhost.may_block() || relocated.may_block();
}

bool RoutingTables::is_stale() const
{
    return local.is_stale() || virtual_alias_domains.is_stale() || virtual_mailbox_domains.is_stale() ||
           relay_domains.is_stale() || transport.is_stale() || sender_recipient_transport.is_stale() ||
           sender_default_transport.is_stale() || sender_relayhost.is_stale() || relocated.is_stale();
}

Resolver::Resolver(RoutingValues values, RoutingTables tables)
    : values_(std::move(values)), route_rules_(values_.rules), tables_(std::move(tables)),
      may_block_(tables_.may_block())
{
    route_rules_.append_at_myorigin = false;
}

// Mail for user%site@here or "user@site"@here is mail for user@site, that we pass on.
Result<std::string> Resolver::routed_address(std::string_view address)
{
    std::string recipient = rewrite(ipc::RewriteContext::local, address);
    for (int i = 0; i < max_routes; ++i) {
        const AddressParts parts = split_address(recipient);
        if (!parts.has_domain)
            return recipient;
        const bool null_domain = parts.domain.empty() && values_.resolve_null_domain;
        if (!null_domain) {
            TRY(const bool local, is_listed(tables_.local.contains(parts.domain)));
            if (!local)
                return recipient;
        }
        const bool quoted_route = parts.local.find('@') != parts.local.npos;
        std::string inner = quoted_route && !values_.resolve_dequoted_address
                                ? std::string(parts.local)
                                : canonical_form(route_rules_, ipc::RewriteContext::local, parts.local);
        const bool routed = split_address(inner).has_domain && inner != parts.local;
        if (!routed && !(quoted_route && values_.resolve_dequoted_address)) {
            if (null_domain)
                recipient += values_.myhostname;
            return recipient;
        }
        recipient = rewrite(ipc::RewriteContext::local, inner);
    }
    return Error{Fault::malformed, "too many routes in an address"};
}

Result<AddressClass> Resolver::class_of(std::string_view domain)
{
    TRY(const bool local, is_listed(tables_.local.contains(domain)));
    if (local)
        return AddressClass::local;
    TRY(const bool alias, is_listed(tables_.virtual_alias_domains.match(domain)));
    if (alias)
        return AddressClass::virtual_alias;
    TRY(const bool mailbox, is_listed(tables_.virtual_mailbox_domains.match(domain)));
    if (mailbox)
        return AddressClass::virtual_mailbox;
    TRY(const bool relay, is_listed(tables_.relay_domains.match(domain)));
    return relay ? AddressClass::relay : AddressClass::other;
}

// relayhost(5) and its table of exceptions by sender.
Result<std::string> Resolver::relay_hop(std::string_view sender, std::string_view domain)
{
    if (!tables_.sender_relayhost.empty()) {
        AddressKeyOptions options;
        options.recipient_delimiter = values_.recipient_delimiter;
        const Lookup answer = sender.empty()
                                  ? tables_.sender_relayhost.find(values_.null_relayhost_key)
                                  : find_first(tables_.sender_relayhost, mapping_keys(sender, options));
        if (answer.is_broken())
            return broken("sender_dependent_relayhost_maps", answer);
        if (answer.is_found() && !equals_ignoring_case(answer.value(), "DUNNO"))
            return answer.value();
    }
    if (values_.relayhost.empty())
        return std::string(domain);
    tell_decision({"relayhost", "", "", values_.relayhost});
    return values_.relayhost;
}

Result<> Resolver::choose_by_class(std::string_view sender, std::string_view domain, Resolved& route)
{
    std::string chosen;
    const auto use = [&](std::string_view value, std::string_view parameter = {}) {
        const Channel channel = split_channel(value);
        route.transport = channel.transport;
        route.nexthop = channel.nexthop;
        if (!parameter.empty())
            tell_decision({parameter, "", "", value});
    };
    switch (route.address_class) {
    case AddressClass::local:
        use(values_.local_transport, "local_transport");
        break;
    case AddressClass::virtual_mailbox:
        use(values_.virtual_transport, "virtual_transport");
        break;
    case AddressClass::relay:
        use(values_.relay_transport, "relay_transport");
        break;
    case AddressClass::virtual_alias:
        route.transport = "error";
        route.nexthop =
            values_.show_table_name ? "5.1.1 User unknown in virtual alias table" : "5.1.1 User unknown";
        return {};
    case AddressClass::other:
    case AddressClass::error:
        use(values_.default_transport, "default_transport");
        if (!tables_.sender_default_transport.empty()) {
            AddressKeyOptions options;
            options.recipient_delimiter = values_.recipient_delimiter;
            const Lookup answer =
                sender.empty() ? tables_.sender_default_transport.find(values_.null_transport_key)
                               : find_first(tables_.sender_default_transport, mapping_keys(sender, options));
            if (answer.is_broken())
                return broken("sender_dependent_default_transport_maps", answer);
            if (answer.is_found() && !equals_ignoring_case(answer.value(), "DUNNO")) {
                chosen = answer.value();
                use(chosen);
            }
        }
        break;
    }
    if (!route.nexthop.empty())
        return {};
    if (route.address_class == AddressClass::local || route.address_class == AddressClass::virtual_mailbox) {
        route.nexthop = domain;
        return {};
    }
    TRY(route.nexthop, relay_hop(sender, domain));
    return {};
}

AddressKeyOptions Resolver::transport_key_options() const
{
    AddressKeyOptions options;
    options.recipient_delimiter = values_.recipient_delimiter;
    options.parent_matches_subdomains = values_.parents_in_transport_maps;
    return options;
}

std::vector<AddressKey> pair_keys(std::string_view sender, std::string_view recipient,
                                  const AddressKeyOptions& options)
{
    std::vector<AddressKey> pairs;
    const auto recipients = transport_keys(recipient, "<>", options);
    for (const AddressKey& from : transport_keys(sender, "<>", options))
        for (const AddressKey& to : recipients)
            pairs.push_back({from.key + '>' + to.key, from.partial || to.partial, {}});
    return pairs;
}

// transport(5): a transport without a next hop means the recipient's own domain, a
// next hop without a transport keeps the transport, and ":" keeps both.
Result<> Resolver::choose_by_tables(std::string_view sender, std::string_view domain, Resolved& route)
{
    Lookup answer = Lookup::absent();
    if (!tables_.sender_recipient_transport.empty()) {
        answer = find_first(tables_.sender_recipient_transport,
                            pair_keys(sender, route.recipient, transport_key_options()));
        if (answer.is_broken())
            return broken("sender_recipient_transport_maps", answer);
    }
    if (answer.is_absent() && !tables_.transport.empty()) {
        answer =
            find_first(tables_.transport, transport_keys(route.recipient, "<>", transport_key_options()));
        if (answer.is_broken())
            return broken("transport_maps", answer);
    }
    if (!answer.is_found())
        return {};
    const Channel channel = split_channel(answer.value());
    if (!channel.transport.empty()) {
        route.transport = channel.transport;
        route.nexthop = channel.nexthop.empty() ? domain : channel.nexthop;
    } else if (!channel.nexthop.empty()) {
        route.nexthop = channel.nexthop;
    }
    return {};
}

Result<> Resolver::look_for_new_home(Resolved& route)
{
    if (tables_.relocated.empty())
        return {};
    AddressKeyOptions options;
    options.recipient_delimiter = values_.recipient_delimiter;
    // A list that fails here has failed already, or fails at the next attempt.
    options.is_local = [this](std::string_view domain) {
        return equals_ignoring_case(domain, values_.rules.myorigin) ||
               static_cast<bool>(tables_.local.contains(domain));
    };
    const Lookup answer = find_first(tables_.relocated, mapping_keys(route.recipient, options));
    if (answer.is_broken())
        return broken("relocated_maps", answer);
    if (answer.is_found()) {
        route.transport = "error";
        route.nexthop = "5.1.6 User has moved to " + answer.value();
    }
    return {};
}

Result<Resolved> Resolver::resolve(std::string_view sender, std::string_view address)
{
    Result<std::string> routed =
        address.empty() ? routed_address(values_.empty_address_recipient) : routed_address(address);
    if (!routed && routed.error().fault == Fault::malformed)
        return refusal("5.1.3 bad address syntax", std::string(address));
    if (!routed)
        return routed.error();

    Resolved route;
    route.recipient = *std::move(routed);
    // Programs that take addresses as arguments would see an option.
    if (route.recipient.starts_with('-') && !values_.allow_min_user)
        return refusal("5.1.3 bad address syntax", std::move(route.recipient));
    std::string domain = lower(split_address(route.recipient).domain);
    if (is_numeric(domain) && !domain.empty() && values_.resolve_numeric_domain)
        domain = '[' + domain + ']';
    if (is_domain_literal(domain) ? !literal_address(domain)
                                  : !is_valid_domain(domain, true) || is_numeric(domain))
        return refusal("5.1.3 bad address syntax", std::move(route.recipient));

    TRY(route.address_class, class_of(domain));
    TRY_VOID(choose_by_class(sender, domain, route));
    if (route.address_class != AddressClass::virtual_alias)
        TRY_VOID(choose_by_tables(sender, domain, route));
    TRY_VOID(look_for_new_home(route));
    return route;
}

} // namespace bulkhead
