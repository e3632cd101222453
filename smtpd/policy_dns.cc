// What rules ask of the DNS about domains, and of policy servers and replies by name.
#include "policy.h"

#include "base/text.h"
#include "dns/resolver.h"
#include "mail/address.h"
#include "table/ask.h"

#include <algorithm>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr std::size_t most_exchangers = 20; // looked at for permit_mx_backup

bool failed(dns::Status status)
{
    return status == dns::Status::temporary || status == dns::Status::bogus;
}

} // namespace

const RestrictionList* Policy::find_class(std::string_view name) const
{
    const auto found = classes_.find(lower(name));
    return found == classes_.end() ? nullptr : &found->second;
}

Result<PolicyServer*> Policy::policy_server(std::string_view text) const
{
    if (const auto known = policy_servers_.find(text); known != policy_servers_.end())
        return known->second.get();
    PolicyServerOptions defaults;
    defaults.timeout = params_.policy_timeout();
    defaults.max_idle = params_.policy_max_idle();
    defaults.max_ttl = params_.policy_max_ttl();
    defaults.retry_delay = params_.policy_retry_delay();
    defaults.request_limit = params_.policy_request_limit();
    defaults.try_limit = params_.policy_try_limit();
    defaults.default_action = params_.policy_default_action();
    defaults.context = params_.policy_context();
    TRY(PolicyServerSpec spec, parse_policy_server(text, defaults));
    auto server = std::make_unique<PolicyServer>(std::move(spec), resolver_);
    return policy_servers_.emplace(text, std::move(server)).first->second.get();
}

// A mail exchanger, or else an address (RFC 5321, 5.1).
Task<DomainFound> Policy::find_domain(std::string domain) const
{
    const auto exchangers = co_await filtered_dns_.mx(domain);
    if (exchangers.status == dns::Status::found) {
        const bool null = exchangers.records.size() == 1 && exchangers.records.front().host.empty();
        co_return null ? DomainFound::no_mail : DomainFound::yes;
    }
    if (exchangers.status == dns::Status::not_found)
        co_return DomainFound::no;
    if (failed(exchangers.status))
        co_return DomainFound::unknown;
    const auto v4 = co_await filtered_dns_.a(domain);
    if (v4.status == dns::Status::found)
        co_return DomainFound::yes;
    const auto v6 = co_await filtered_dns_.aaaa(domain);
    if (v6.status == dns::Status::found)
        co_return DomainFound::yes;
    co_return failed(v4.status) || failed(v6.status) ? DomainFound::unknown : DomainFound::no;
}

Task<bool> Policy::leads_to_us(std::string host) const
{
    const auto v4 = co_await filtered_dns_.a(host);
    const auto v6 = co_await filtered_dns_.aaaa(host);
    for (const auto* answer : {&v4, &v6})
        for (const SocketAddress& address : answer->records)
            if (reached_addresses_.contains(fmt::format("[{}]", address.text())))
                co_return true;
    co_return false;
}

Task<bool> Policy::is_in_backup_networks(std::string host) const
{
    const auto v4 = co_await filtered_dns_.a(host);
    const auto v6 = co_await filtered_dns_.aaaa(host);
    for (const auto* answer : {&v4, &v6})
        for (const SocketAddress& address : answer->records) {
            const std::string text = address.text();
            const auto match = [&] { return backup_networks_.match(text); };
            const ListMatch found = co_await ask(backup_networks_.may_block(), match);
            if (found)
                co_return true;
        }
    co_return false;
}

Task<MxBackup> Policy::find_mx_backup(std::string domain) const
{
    if (resolver_ == nullptr)
        co_return MxBackup::unknown;
    auto exchangers = co_await filtered_dns_.mx(domain);
    if (failed(exchangers.status))
        co_return MxBackup::unknown;
    auto& records = exchangers.records;
    std::ranges::sort(records, {}, &dns::MxRecord::preference);
    if (records.size() > most_exchangers)
        records.erase(records.begin() + most_exchangers, records.end());
    bool backup = false;
    bool primary_is_known = backup_networks_.empty();
    for (const dns::MxRecord& record : records) {
        const bool best = record.preference == records.front().preference;
        const bool ours = co_await leads_to_us(record.host);
        if (ours && best)
            co_return MxBackup::no; // the mail would come back
        backup = backup || ours;
        if (best && !primary_is_known)
            primary_is_known = co_await is_in_backup_networks(record.host);
    }
    co_return backup&& primary_is_known ? MxBackup::yes : MxBackup::no;
}

std::optional<std::string> Policy::reply_macro(std::string_view name, const AccessSubject& subject) const
{
    const Peer& client = subject.client;
    const std::string sender(subject.sender.value_or(""));
    const std::string recipient(subject.recipient.value_or(""));
    struct Row {
        std::string_view name;
        std::string value;
    };
    const std::array<Row, 12> rows = {{
        {"client", client.label()},
        {"client_address", client.address},
        {"client_name", client.name},
        {"client_port", std::to_string(client.port)},
        {"reverse_client_name", client.reverse_name},
        {"helo_name", std::string(subject.helo)},
        {"sender", sender.empty() ? "<>" : sender},
        {"sender_name", std::string(split_address(sender).local)},
        {"sender_domain", std::string(split_address(sender).domain)},
        {"recipient", recipient},
        {"recipient_name", std::string(split_address(recipient).local)},
        {"recipient_domain", std::string(split_address(recipient).domain)},
    }};
    const auto found = std::ranges::find(rows, name, &Row::name);
    return found == rows.end() || found->value.empty() ? std::nullopt : std::optional(found->value);
}

} // namespace bulkhead
