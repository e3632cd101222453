// Restrictions on the client: its networks, certificate and name, and what it says in HELO.
#include "restrictions.h"

#include "policy.h"

#include "dns/resolver.h"
#include "mail/address.h"
#include "table/ask.h"
#include "tls/facts.h"

#include <fmt/format.h>

namespace bulkhead
{

Task<Verdict> AccessCheck::permit_mynetworks(const Rule&)
{
    const MatchList& networks = policy_.mynetworks();
    const auto look_up = [&] { return networks.match(subject_.client.address); };
    const ListMatch match = co_await ask(networks.may_block(), look_up);
    if (match.is_broken())
        co_return look_up_failed("mynetworks", match.reason);
    co_return match ? Verdict::permit() : Verdict();
}

Task<Verdict> AccessCheck::permit_inet_interfaces(const Rule&)
{
    co_return policy_.is_own_address(subject_.client.address) ? Verdict::permit() : Verdict();
}

Task<Verdict> AccessCheck::permit_certificates(const Rule&)
{
    if (!subject_.tls || !subject_.tls->has_certificate)
        co_return Verdict();
    const auto keys = fingerprint_keys(*subject_.tls);
    TableList& known = policy_.client_certificates();
    const auto look_up = [&] { return find_first(known, keys); };
    const Lookup answer = co_await ask(known.may_block(), look_up);
    if (answer.is_broken())
        co_return look_up_failed("relay_clientcerts", answer.reason());
    co_return answer.is_found() ? Verdict::permit() : Verdict();
}

Task<Verdict> AccessCheck::permit_all_certificates(const Rule&)
{
    co_return subject_.tls&& subject_.tls->trusted ? Verdict::permit() : Verdict();
}

Task<Verdict> AccessCheck::permit_logged_in(const Rule&)
{
    co_return subject_.sasl_username.empty() ? Verdict() : Verdict::permit();
}

// A name server that does not answer now may answer later (RFC 5321, 4.2.1).
static int code_of(const Peer& client, PeerName status, int permanent)
{
    return client.network && status == PeerName::temporary ? 450 : permanent;
}

Task<Verdict> AccessCheck::reject_unknown_client(const Rule&)
{
    const Peer& client = subject_.client;
    if (client.name_status == PeerName::known)
        co_return Verdict();
    const int code = code_of(client, client.name_status, policy_.params().unknown_client_code());
    co_return refusal(code, "5.7.25",
                      fmt::format("Client host rejected: cannot find your hostname, [{}]", client.address));
}

Task<Verdict> AccessCheck::reject_unknown_reverse_client(const Rule&)
{
    const Peer& client = subject_.client;
    if (client.reverse_status == PeerName::known)
        co_return Verdict();
    const int code = code_of(client, client.reverse_status, policy_.params().unknown_client_code());
    co_return refusal(
        code, "5.7.25",
        fmt::format("Client host rejected: cannot find your reverse hostname, [{}]", client.address));
}

// A name whose addresses are others is no trouble here.
Task<Verdict> AccessCheck::reject_unknown_forward_client(const Rule&)
{
    const Peer& client = subject_.client;
    if (client.name_status == PeerName::known || client.forward_status == PeerName::known)
        co_return Verdict();
    const int code = code_of(client, client.forward_status, policy_.params().unknown_client_code());
    co_return refusal(
        code, "5.7.25",
        fmt::format("Client host rejected: cannot find your forward hostname, [{}]", client.address));
}

bool is_fully_qualified(std::string_view host)
{
    return is_domain_literal(host) ||
           (is_valid_domain(host, true) && host.find('.') != std::string_view::npos);
}

Task<Verdict> AccessCheck::reject_non_fqdn_helo(const Rule&)
{
    if (subject_.helo.empty() || is_fully_qualified(subject_.helo))
        co_return Verdict();
    co_return refusal(policy_.params().non_fqdn_code(), "5.5.2",
                      rejected(Part::helo) + ": need fully-qualified hostname");
}

Task<Verdict> AccessCheck::reject_invalid_helo(const Rule&)
{
    if (subject_.helo.empty() || is_valid_domain(subject_.helo, true) || literal_address(subject_.helo))
        co_return Verdict();
    co_return refusal(policy_.params().invalid_name_code(), "5.5.2", rejected(Part::helo) + ": Invalid name");
}

// No host and no mail exchanger of this name (A, AAAA, MX).
Task<Verdict> AccessCheck::reject_unknown_helo(const Rule&)
{
    dns::Resolver* resolver = policy_.resolver();
    const std::string name(subject_.helo);
    if (name.empty() || is_domain_literal(name) || resolver == nullptr)
        co_return Verdict();
    const DomainFound found = co_await policy_.find_domain(name);
    if (found == DomainFound::yes || found == DomainFound::no_mail)
        co_return Verdict();
    const std::string text = rejected(Part::helo) + ": Host not found";
    if (found == DomainFound::no)
        co_return refusal(policy_.params().unknown_hostname_code(), "5.7.1", text);
    const Verdict later = refusal(450, "4.7.1", text);
    co_return tempfail(policy_.params().unknown_helo_tempfail(), later);
}

Task<Verdict> AccessCheck::permit_naked_address(const Rule&)
{
    co_return SocketAddress::parse(subject_.helo) ? Verdict::permit() : Verdict();
}

} // namespace bulkhead
