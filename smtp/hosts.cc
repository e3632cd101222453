#include "hosts.h"

#include "base/text.h"
#include "dns/resolver.h"
#include "log/log.h"
#include "table/ask.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include <fmt/format.h>

namespace bulkhead
{

using ipc::DeliveryOutcome;

namespace
{

bool is_wanted_version(const Host& host, HostOrder::Prefer prefer)
{
    return host.peer.address.is_v6() == (prefer == HostOrder::Prefer::ipv6);
}

// A stable sort for short lists (std::stable_sort of libstdc++ 12 is deprecated inside).
template <typename Element, typename Key> void sort_stably(std::vector<Element>& elements, Key key)
{
    const auto less = [&](const Element& a, const Element& b) { return key(a) < key(b); };
    for (auto it = elements.begin(); it != elements.end(); ++it)
        std::rotate(std::upper_bound(elements.begin(), it, *it, less), it, it + 1);
}

// Keeps `limit` hosts; if they are all of one IP version and the rest has the other,
// the last place goes to the first of that.
void cut(std::vector<Host>& hosts, std::size_t limit, bool balance)
{
    if (limit == 0 || hosts.size() <= limit)
        return;
    const auto end = hosts.begin() + static_cast<std::ptrdiff_t>(limit);
    const bool v6 = hosts.front().peer.address.is_v6();
    const auto is_other = [v6](const Host& host) { return host.peer.address.is_v6() != v6; };
    if (balance && limit > 1 && std::none_of(hosts.begin(), end, is_other)) {
        const auto other = std::find_if(end, hosts.end(), is_other);
        if (other != hosts.end())
            *(end - 1) = *other;
    }
    hosts.erase(end, hosts.end());
}

// The words of log-format.md, section 3.
DeliveryStatus lookup_failure(dns::Status status, std::string_view name, std::string_view type)
{
    const auto text = [&](std::string_view first, std::string_view reason) {
        return fmt::format("{}. Name service error for name={} type={}: {}", first, name, type, reason);
    };
    constexpr std::string_view not_found = "Host or domain name not found";
    switch (status) {
    case dns::Status::not_found:
        return {DeliveryOutcome::bounced, "5.4.4", text(not_found, "Host not found")};
    case dns::Status::found:
    case dns::Status::no_data:
        return {DeliveryOutcome::bounced, "5.4.4",
                text(not_found, "Host found but no data record of requested type")};
    case dns::Status::bogus:
        return {DeliveryOutcome::deferred, "4.7.5", text(not_found, "DNSSEC validation failure")};
    case dns::Status::temporary:
        return {DeliveryOutcome::deferred, "4.4.3", text(not_found, "Host not found, try again")};
    }
    std::unreachable();
}

bool is_permanent(const std::optional<DeliveryStatus>& failure)
{
    return !failure || failure->outcome == DeliveryOutcome::bounced;
}

bool is_null_mx(const std::vector<dns::MxRecord>& records)
{
    return records.size() == 1 && records.front().host.empty();
}

} // namespace

void arrange(std::vector<Host>& hosts, const HostOrder& order, std::minstd_rand& random)
{
    if (order.shuffle)
        std::ranges::shuffle(hosts, random);
    const auto rank = [&](const Host& host) {
        return std::tuple(host.preference, host.turn,
                          order.prefer != HostOrder::Prefer::any && !is_wanted_version(host, order.prefer));
    };
    sort_stably(hosts, rank);
    cut(hosts, order.limit, order.balance);
}

void arrange(std::vector<dns::SrvRecord>& records, bool by_lot, std::minstd_rand& random)
{
    sort_stably(records,
                [](const dns::SrvRecord& record) { return std::pair(record.priority, ~record.weight); });
    if (!by_lot)
        return;
    for (auto it = records.begin(); it != records.end(); ++it) {
        const auto is_worse = [&](const dns::SrvRecord& record) { return record.priority != it->priority; };
        const auto end = std::find_if(it, records.end(), is_worse);
        // One more than its weight: who has none is to be chosen as well, if seldom.
        unsigned all = 0;
        for (auto one = it; one != end; ++one)
            all += one->weight + 1U;
        unsigned lot = std::uniform_int_distribution<unsigned>(0, all - 1)(random);
        auto chosen = it;
        for (; lot > chosen->weight; ++chosen)
            lot -= chosen->weight + 1U;
        std::rotate(it, chosen, chosen + 1);
    }
}

std::vector<std::string> NameCompletion::spellings(const std::string& name) const
{
    const bool has_dot = name.find('.') != name.npos;
    std::vector<std::string> names;
    if (has_dot ? with_dot : without_dot)
        for (const std::string& domain : domains) {
            names.push_back(name + '.' + domain);
            if (!with_dot)
                break;
        }
    names.insert(has_dot ? names.begin() : names.end(), name);
    return names;
}

bool drop_from_self_on(std::vector<Host>& hosts, const std::function<bool(const Host&)>& is_self)
{
    unsigned best = ~0U;
    for (const Host& host : hosts)
        if (is_self(host))
            best = std::min(best, host.preference);
    if (best == ~0U)
        return true;
    std::erase_if(hosts, [best](const Host& host) { return host.preference >= best; });
    return !hosts.empty();
}

bool has_other_version_behind(const std::vector<Host>& hosts, std::size_t index)
{
    const bool v6 = hosts[index].peer.address.is_v6();
    return std::any_of(hosts.begin() + static_cast<std::ptrdiff_t>(index), hosts.end(),
                       [v6](const Host& host) { return host.peer.address.is_v6() != v6; });
}

Result<HostFinder> HostFinder::open(const SmtpParams& params, dns::Resolver* resolver, std::string hostname,
                                    IsOwnAddress is_own)
{
    HostFinder finder;
    finder.params_ = &params;
    finder.resolver_ = resolver;
    finder.hostname_ = std::move(hostname);
    finder.is_own_ = std::move(is_own);
    finder.random_.seed(std::random_device{}());

    const std::string& level = params.dns_support_level();
    const bool disabled = level.empty() ? params.disable_dns_lookups() : level == "disabled";
    if (!level.empty() && level != "disabled" && level != "enabled" && level != "dnssec")
        return Error{Fault::config, fmt::format("smtp_dns_support_level: bad value \"{}\"", level)};
    finder.use_mx_ = !disabled;
    for (const std::string& source : params.host_lookup())
        if (source == "dns")
            finder.sources_.push_back(Source::dns);
        else if (source == "native")
            finder.sources_.push_back(Source::native);
        else
            return Error{Fault::config, fmt::format("smtp_host_lookup: bad value \"{}\"", source)};
    if (disabled)
        finder.sources_ = {Source::native};
    if (finder.sources_.empty())
        return Error{Fault::config, "smtp_host_lookup: no value"};

    const std::string& preference = params.address_preference();
    if (preference != "any" && preference != "ipv4" && preference != "ipv6")
        return Error{Fault::config, fmt::format("smtp_address_preference: bad value \"{}\"", preference)};
    const auto protocols = split(params.inet_protocols(), ", \t\r\n");
    const auto lists = [&](std::string_view name) {
        return std::ranges::find(protocols, name) != protocols.end();
    };
    finder.reply_filter_ = dns::ReplyFilter(params.dns_reply_filter);
    finder.ipv4_ = lists("all") || lists("ipv4");
    finder.ipv6_ = lists("all") || lists("ipv6");
    if (!finder.ipv4_ && !finder.ipv6_)
        return Error{Fault::config, fmt::format("inet_protocols: bad value \"{}\"", params.inet_protocols())};
    finder.order_.prefer = preference == "ipv4"   ? HostOrder::Prefer::ipv4
                           : preference == "ipv6" ? HostOrder::Prefer::ipv6
                                                  : HostOrder::Prefer::any;
    finder.order_.shuffle = params.randomize();
    finder.order_.balance = params.balance_protocols();
    finder.order_.limit = static_cast<std::size_t>(params.address_limit());
    TRY_VOID(finder.set_completion());
    return finder;
}

Result<> HostFinder::set_completion()
{
    for (const std::string& option : params_->resolver_options())
        if (option == "res_defnames")
            completion_.without_dot = true;
        else if (option == "res_dnsrch")
            completion_.with_dot = true;
        else
            return Error{Fault::config,
                         fmt::format("{}: bad value \"{}\"", params_->resolver_options.name(), option)};
    if (resolver_ != nullptr)
        completion_.domains = resolver_->search_domains();
    // resolv.conf(5): the machine's own domain, where no other is named.
    const auto dot = hostname_.find('.');
    if (completion_.domains.empty() && dot != hostname_.npos)
        completion_.domains.push_back(hostname_.substr(dot + 1));
    return {};
}

bool HostFinder::is_own_name(std::string_view host) const
{
    return equals_ignoring_case(host, hostname_);
}

Task<HostList> HostFinder::find(const Nexthop& nexthop)
{
    HostList found;
    if (!nexthop.socket_path.empty()) {
        found.hosts.emplace_back(Peer::at_socket(hostname_, nexthop.socket_path), 0);
        co_return found;
    }
    if (nexthop.address) {
        found.hosts.emplace_back(Peer(nexthop.name, *nexthop.address), 0);
    } else {
        found = co_await hosts_of_domain(nexthop);
    }
    if (found.failure)
        co_return found;
    const auto is_self = [&](const Host& host) {
        return may_loop(host.peer) &&
               (is_own_(host.peer.address) || (host.preference > 0 && is_own_name(host.peer.name)));
    };
    found.loops = !drop_from_self_on(found.hosts, is_self);
    if (found.loops)
        found.failure = mail_loop(nexthop.name);
    arrange(found.hosts, order_, random_);
    co_return found;
}

bool HostFinder::looks_for_services(const Nexthop& nexthop) const
{
    return nexthop.is_domain && use_mx_ &&
           std::ranges::any_of(params_->srv_services(), [&](const std::string& service) {
               return equals_ignoring_case(service, nexthop.service);
           });
}

Task<HostList> HostFinder::hosts_of_domain(Nexthop nexthop)
{
    if (looks_for_services(nexthop)) {
        auto servers = co_await servers_of_service(nexthop);
        if (servers)
            co_return *std::move(servers);
    }
    if (nexthop.wants_mx && use_mx_)
        co_return co_await exchangers(std::move(nexthop));
    co_return co_await single_host(std::move(nexthop));
}

Task<HostList> HostFinder::single_host(Nexthop nexthop)
{
    HostList found;
    Addresses list = co_await addresses(nexthop.name);
    const std::string& name = list.canonical.empty() ? nexthop.name : list.canonical;
    for (const SocketAddress& address : list.list)
        found.hosts.emplace_back(Peer(name, address.with_port(nexthop.port)), 0);
    if (found.hosts.empty())
        found.failure = std::move(list.failure);
    co_return found;
}

// RFC 2782, and RFC 6186 for submission.
Task<std::optional<HostList>> HostFinder::servers_of_service(Nexthop nexthop)
{
    const std::string name = fmt::format("_{}._tcp.{}", nexthop.service, nexthop.name);
    auto answer = co_await resolver_->srv(name);
    co_await reply_filter_.apply(name, dns::Type::srv, answer);
    const bool absent = answer.status == dns::Status::not_found || answer.status == dns::Status::no_data;
    const bool broken = answer.status == dns::Status::temporary;
    if ((absent && params_->srv_fallback()) || (broken && params_->ignore_srv_error()))
        co_return std::nullopt;
    HostList found;
    if (answer.status != dns::Status::found) {
        found.failure = lookup_failure(answer.status, name, "SRV");
        co_return found;
    }
    if (answer.records.size() == 1 && answer.records.front().host.empty()) {
        found.failure = DeliveryStatus(
            DeliveryOutcome::bounced, "5.1.0",
            fmt::format("Domain {} does not offer service {} (null SRV)", nexthop.name, nexthop.service));
        co_return found;
    }
    arrange(answer.records, params_->randomize(), random_);
    std::vector<Server> servers;
    for (dns::SrvRecord& record : answer.records)
        servers.emplace_back(std::move(record.host), record.port, record.priority + 1U,
                             static_cast<unsigned>(servers.size()));
    found = co_await hosts_of(std::move(servers), answer.secure);
    if (!found.hosts.empty())
        co_return found;
    log::warn(fmt::format("no SRV host for {} has a valid address record", name));
    if (!found.failure)
        found.failure = lookup_failure(dns::Status::no_data, name, "SRV");
    co_return found;
}

Task<HostList> HostFinder::exchangers(Nexthop nexthop)
{
    HostList found;
    dns::Answer<dns::MxRecord> answer;
    const std::vector<std::string> spellings = completion_.spellings(nexthop.name);
    for (const std::string& spelling : spellings) {
        answer = co_await resolver_->mx(spelling);
        if (answer.status != dns::Status::not_found && answer.status != dns::Status::no_data)
            break;
    }
    co_await reply_filter_.apply(nexthop.name, dns::Type::mx, answer);
    if (answer.status == dns::Status::not_found || answer.status == dns::Status::no_data ||
        (answer.status == dns::Status::temporary && params_->ignore_mx_lookup_error())) {
        found = co_await single_host(std::move(nexthop)); // RFC 5321, 5.1: the domain as its own exchanger
        co_return found;
    }
    if (answer.status != dns::Status::found) {
        found.failure = lookup_failure(answer.status, nexthop.name, "MX");
        co_return found;
    }
    if (is_null_mx(answer.records)) {
        found.failure = DeliveryStatus(DeliveryOutcome::bounced, "5.1.0",
                                       fmt::format("Domain {} does not accept mail (nullMX)", nexthop.name));
        co_return found;
    }

    sort_stably(answer.records, [](const dns::MxRecord& record) { return record.preference; });
    std::vector<Server> servers;
    for (dns::MxRecord& record : answer.records) // from 1 on: 0 means "no record" (drop_from_self_on)
        servers.emplace_back(std::move(record.host), nexthop.port, record.preference + 1U, 0);
    found = co_await hosts_of(std::move(servers), answer.secure);
    if (!found.hosts.empty())
        co_return found;
    log::warn(fmt::format("no MX host for {} has a valid address record", nexthop.name));
    if (!found.failure)
        found.failure = lookup_failure(dns::Status::no_data, nexthop.name, "MX");
    if (params_->defer_without_mx_address())
        found.failure->outcome = DeliveryOutcome::deferred;
    co_return found;
}

// The addresses of these hosts, best first; a failure where there is none.
Task<HostList> HostFinder::hosts_of(std::vector<Server> servers, bool secure)
{
    HostList found;
    if (servers.size() > exchanger_limit)
        servers.resize(exchanger_limit);
    unsigned last = 0;
    for (const Server& server : servers) {
        // Worse ones than those that fill the limit would be cut off again.
        if (order_.limit != 0 && found.hosts.size() >= order_.limit && server.preference != last)
            break;
        last = server.preference;
        if (server.name.empty())
            continue;
        Addresses list = co_await addresses(server.name);
        if (list.failure && (!found.failure || !is_permanent(list.failure)))
            found.failure = std::move(list.failure);
        const std::string& name = list.canonical.empty() ? server.name : list.canonical;
        for (const SocketAddress& address : list.list) {
            Host& host =
                found.hosts.emplace_back(Peer(name, address.with_port(server.port)), server.preference);
            host.turn = server.turn;
            host.found_insecurely = !secure;
        }
    }
    if (!found.hosts.empty())
        found.failure.reset();
    co_return found;
}

Task<HostFinder::Addresses> HostFinder::addresses(std::string host)
{
    Addresses result;
    if (const auto literal = SocketAddress::parse(host)) {
        result.list.push_back(*literal);
        co_return result;
    }
    for (const Source source : sources_) {
        const bool native = source == Source::native;
        if (native)
            result = ask_hosts_file(host);
        if (!native || (result.list.empty() && resolver_->native_uses_dns()))
            result = co_await ask_dns(host);
        // The next source is for hosts that this one does not know, not for its failures.
        if (!result.list.empty() || !is_permanent(result.failure))
            break;
    }
    co_return result;
}

HostFinder::Addresses HostFinder::ask_hosts_file(const std::string& host) const
{
    Addresses result;
    result.list = resolver_->hosts().find(host);
    std::erase_if(result.list,
                  [this](const SocketAddress& address) { return address.is_v6() ? !ipv6_ : !ipv4_; });
    if (result.list.empty())
        result.failure =
            DeliveryStatus(DeliveryOutcome::bounced, "5.4.4",
                           fmt::format("unable to look up host {}: Name or service not known", host));
    return result;
}

Task<HostFinder::Addresses> HostFinder::ask_dns(std::string host)
{
    Addresses result;
    const std::vector<std::string> spellings = completion_.spellings(host);
    for (const std::string& spelling : spellings) {
        result = co_await ask_dns_for(spelling, host);
        if (!result.list.empty() || !is_permanent(result.failure))
            break;
    }
    co_return result;
}

// A failure is told of the host as it was written.
Task<HostFinder::Addresses> HostFinder::ask_dns_for(std::string spelling, const std::string& host)
{
    Addresses result;
    const auto take = [&](const dns::Answer<SocketAddress>& answer, std::string_view type) {
        result.list.insert(result.list.end(), answer.records.begin(), answer.records.end());
        if (params_->cname_is_name() && result.canonical.empty())
            result.canonical = answer.owner;
        if (answer.status == dns::Status::found)
            return;
        DeliveryStatus failure = lookup_failure(answer.status, host, type);
        if (is_permanent(result.failure))
            result.failure = std::move(failure);
    };
    if (ipv4_) {
        auto answer = co_await resolver_->a(spelling);
        co_await reply_filter_.apply(host, dns::Type::a, answer);
        take(answer, "A");
        if (answer.status == dns::Status::not_found)
            co_return result; // no such name at all: nothing else to ask for
    }
    if (ipv6_) {
        auto answer = co_await resolver_->aaaa(spelling);
        co_await reply_filter_.apply(host, dns::Type::aaaa, answer);
        take(answer, "AAAA");
    }
    if (!result.list.empty())
        result.failure.reset();
    co_return result;
}

} // namespace bulkhead
