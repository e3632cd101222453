#include "policy.h"

#include "base/text.h"
#include "config/config.h"
#include "config/values.h"
#include "dns/resolver.h"
#include "log/log.h"
#include "mail/address.h"
#include "mail/dsn.h"
#include "table/ask.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr std::string_view error_transport = "error";

Error at_parameter(const Config& config, std::string_view name, const Error& error)
{
    return Error{Fault::config, fmt::format("{}: {}: {}", config.place(name), name, error.context)};
}

bool contains(const std::vector<std::string>& list, std::string_view word)
{
    return std::ranges::find(list, word) != list.end();
}

} // namespace

Result<std::unique_ptr<Policy>> Policy::open(const Config& config, const SmtpdParams& params,
                                             ipc::RewriteClient& rewriter, dns::Resolver* resolver)
{
    std::unique_ptr<Policy> policy(new Policy(params, rewriter, resolver));
    policy->open_classes(config);
    policy->open_restrictions(config);
    TRY_VOID(policy->open_lists(config));
    policy->open_tables();
    return policy;
}

// Classes may name each other: all names are known before the first list is read.
void Policy::open_classes(const Config& config)
{
    for (const std::string& name : params_.restriction_classes())
        classes_.try_emplace(lower(name));
    for (const std::string& name : params_.restriction_classes()) {
        RestrictionList& list = classes_[lower(name)];
        list = RestrictionList::parse(config.get(name), this);
        for (const std::string& problem : list.problems())
            log::warn(fmt::format("{}: {}: {}", config.place(name), name, problem));
    }
}

void Policy::open_restrictions(const Config& config)
{
    struct Row {
        const Param<std::string>& param;
        RestrictionList& list;
    };
    const std::array<Row, 8> rows = {{
        {params_.client_restrictions, client_},
        {params_.helo_restrictions, helo_},
        {params_.sender_restrictions, sender_},
        {params_.relay_restrictions, relay_},
        {params_.recipient_restrictions, recipient_},
        {params_.data_restrictions, data_},
        {params_.end_of_data_restrictions, end_of_data_},
        {params_.etrn_restrictions, etrn_},
    }};
    for (const Row& row : rows) {
        row.list = RestrictionList::parse(row.param(), this);
        row.list.set_parameter(row.param.name());
        for (const std::string& problem : row.list.problems())
            log::warn(fmt::format("{}: {}: {}", config.place(row.param.name()), row.param.name(), problem));
    }
    if (!relay_.can_stop_relaying(this) && !recipient_.can_stop_relaying(this)) {
        open_relay_ = fmt::format(
            "{}: in parameter smtpd_relay_restrictions or smtpd_recipient_restrictions, specify at least "
            "one working instance of: reject_unauth_destination, defer_unauth_destination, reject, defer, "
            "defer_if_permit, check_relay_domains",
            config.place("smtpd_relay_restrictions"));
        log::error(open_relay_);
    }
}

Result<> Policy::open_lists(const Config& config)
{
    ListOptions options;
    options.kind = ListKind::addresses;
    auto networks = MatchList::open(params_.mynetworks(), options);
    if (!networks)
        return at_parameter(config, "mynetworks", networks.error());
    mynetworks_ = *std::move(networks);
    auto exclusions = MatchList::open(params_.bare_newline_exclusions(), options);
    if (!exclusions)
        return at_parameter(config, "smtpd_forbid_bare_newline_exclusions", exclusions.error());
    bare_newline_exclusions_ = *std::move(exclusions);
    auto permits = MatchList::open(params_.permit_actions());
    if (!permits)
        return at_parameter(config, "smtpd_log_access_permit_actions", permits.error());
    permit_actions_ = *std::move(permits);
    LocalDomains::Settings interfaces;
    interfaces.inet_interfaces = params_.inet_interfaces();
    auto own = LocalDomains::open(interfaces);
    if (!own)
        return at_parameter(config, "inet_interfaces", own.error());
    own_addresses_ = *std::move(own);
    interfaces.proxy_interfaces = params_.proxy_interfaces();
    auto reached = LocalDomains::open(interfaces);
    if (!reached)
        return at_parameter(config, "proxy_interfaces", reached.error());
    reached_addresses_ = *std::move(reached);
    options.parent_matches_subdomains = contains(params_.parent_domains(), "permit_mx_backup_networks");
    auto backups = MatchList::open(params_.mx_backup_networks(), options);
    if (!backups)
        return at_parameter(config, "permit_mx_backup_networks", backups.error());
    backup_networks_ = *std::move(backups);
    version_ = config.get("mail_version");
    expansion_filter_ = ExpansionFilter(params_.expansion_filter().text);

    for (const std::string& word : parse_list(params_.header_rewrite_clients())) {
        local_by_interface_ |= word == "permit_inet_interfaces";
        local_by_network_ |= word == "permit_mynetworks";
    }
    key_options_.recipient_delimiter = params_.recipient_delimiter();
    key_options_.parent_matches_subdomains = contains(params_.parent_domains(), "smtpd_access_maps");
    checks_unlisted_ =
        params_.reject_unlisted_recipient() && !contains(params_.overrides(), "no_unknown_recipient_checks");
    return {};
}

void Policy::open_tables()
{
    struct Row {
        const Param<std::string>& param;
        TableList& tables;
    };
    dns_list_replies_ = TableList::open(params_.dns_list_reply_maps());
    const std::array<Row, 6> rows = {{
        {params_.canonical_maps, canonical_},
        {params_.recipient_canonical_maps, recipient_canonical_},
        {params_.alias_recipients, aliases_},
        {params_.local_recipients, local_},
        {params_.mailbox_recipients, mailboxes_},
        {params_.relay_recipients, relays_},
    }};
    for (const Row& row : rows) {
        row.tables = TableList::open(row.param);
        listings_may_block_ = listings_may_block_ || row.tables.may_block();
    }
    client_certificates_ = TableList::open(params_.client_certificates());
    sender_logins_ = TableList::open(params_.sender_logins());
    filtered_dns_.set_filter(dns::ReplyFilter(params_.dns_reply_filter));
}

bool Policy::is_stale() const
{
    const auto lists = {&client_, &helo_, &sender_, &relay_, &recipient_, &data_, &end_of_data_, &etrn_};
    const auto tables = {&canonical_, &recipient_canonical_, &aliases_,       &local_,           &mailboxes_,
                         &relays_,    &client_certificates_, &sender_logins_, &dns_list_replies_};
    const auto stale = [](const auto* part) { return part->is_stale(); };
    const auto class_stale = [](const auto& row) { return row.second.is_stale(); };
    return std::ranges::any_of(lists, stale) || std::ranges::any_of(classes_, class_stale) ||
           std::ranges::any_of(tables, stale) || mynetworks_.is_stale() || permit_actions_.is_stale() ||
           bare_newline_exclusions_.is_stale() || backup_networks_.is_stale() || filtered_dns_.is_stale();
}

Task<Verdict> Policy::check(Step step, const AccessSubject& subject) const
{
    AccessCheck check(*this, subject);
    Verdict verdict;
    const bool delayed = params_.delay_reject();
    switch (step) {
    case Step::connect:
        if (!delayed)
            verdict = co_await check.run(client_, ListUse::client);
        break;
    case Step::helo:
        if (!delayed)
            verdict = co_await check.run(helo_, ListUse::helo);
        break;
    case Step::mail:
        if (!delayed)
            verdict = co_await check_sender(check);
        break;
    case Step::recipient:
        verdict = co_await check_recipient(check, subject);
        break;
    case Step::data:
        verdict = co_await check.run(data_, ListUse::data);
        break;
    case Step::end_of_data:
        verdict = co_await check.run(end_of_data_, ListUse::end_of_data);
        break;
    case Step::etrn:
        if (delayed)
            verdict = co_await check_client_and_helo(check);
        if (!verdict.refused())
            verdict = co_await check.run(etrn_, ListUse::etrn);
        break;
    }
    co_return check.conclude(std::move(verdict));
}

Task<Verdict> Policy::check_client_and_helo(AccessCheck& check) const
{
    Verdict verdict = co_await check.run(client_, ListUse::client);
    if (!verdict.refused())
        verdict = co_await check.run(helo_, ListUse::helo);
    co_return verdict;
}

Task<Verdict> Policy::check_sender(AccessCheck& check) const
{
    Verdict verdict = co_await check.run(sender_, ListUse::sender);
    if (!verdict.refused() && params_.reject_unlisted_sender())
        verdict = co_await check.sender_is_listed();
    co_return verdict;
}

Task<Verdict> Policy::check_recipient(AccessCheck& check, const AccessSubject& subject) const
{
    if (!open_relay_.empty())
        co_return check.server_error(open_relay_);
    if (params_.delay_reject()) {
        Verdict verdict = co_await check_client_and_helo(check);
        if (!verdict.refused())
            verdict = co_await check_sender(check);
        if (verdict.refused())
            co_return verdict;
    }
    // The postmaster of this host can always be reached (RFC 5321, 4.5.1).
    const bool postmaster = equals_ignoring_case(subject.recipient.value_or(""), "postmaster");
    if (postmaster)
        co_return Verdict();
    // Each list must let the command pass; a permit ends its own list only.
    const bool relay_first = params_.relay_before_recipient();
    const RestrictionList& first = relay_first ? relay_ : recipient_;
    const RestrictionList& second = relay_first ? recipient_ : relay_;
    Verdict verdict = co_await check.run(first, ListUse::recipient);
    if (!verdict.refused())
        verdict = co_await check.run(second, ListUse::recipient);
    if (!verdict.refused() && checks_unlisted_)
        verdict = co_await check.recipient_is_listed();
    co_return verdict;
}

bool Policy::is_own_address(std::string_view address) const
{
    return static_cast<bool>(own_addresses_.contains(fmt::format("[{}]", address)));
}

Task<Result<bool>> Policy::is_local_client(const Peer& client) const
{
    if (!client.network || (local_by_interface_ && is_own_address(client.address)))
        co_return true;
    if (!local_by_network_)
        co_return false;
    const auto match = [&] { return mynetworks_.match(client.address); };
    const ListMatch ours = co_await ask(mynetworks_.may_block(), match);
    if (ours.is_broken())
        co_return Error(Fault::config, "mynetworks: " + ours.reason);
    co_return static_cast<bool>(ours);
}

Task<bool> Policy::forbids_bare_newline(const Peer& client) const
{
    if (!client.network || params_.bare_newline() != "reject")
        co_return false;
    const auto match = [&] { return bare_newline_exclusions_.match(client.address); };
    const ListMatch excluded = co_await ask(bare_newline_exclusions_.may_block(), match);
    co_return !excluded;
}

bool Policy::is_authorized(const ipc::Resolved& resolved) const
{
    using Class = ipc::AddressClass;
    if (resolved.address_class == Class::other || resolved.address_class == Class::error)
        return false;
    // user@elsewhere@here: who knows what the next host makes of it.
    const std::string_view local = split_address(resolved.recipient).local;
    const bool routed = local.find('@') != std::string_view::npos ||
                        (params_.percent_hack() && local.find('%') != std::string_view::npos) ||
                        (params_.bang_path() && local.find('!') != std::string_view::npos);
    return !routed || (params_.untrusted_routing() && resolved.address_class == Class::relay);
}

Task<Listing> Policy::listing_of(const ipc::Resolved& resolved) const
{
    const auto find = [&] { return find_listing(resolved); };
    co_return co_await ask(listings_may_block_, find);
}

Listing Policy::find_listing(const ipc::Resolved& resolved) const
{
    using Class = ipc::AddressClass;
    struct Row {
        Class address_class;
        TableList* tables;
        int code;
        std::string_view name;
    };
    const std::array<Row, 4> rows = {{
        {Class::local, &local_, params_.unknown_local_code(), "local recipient"},
        {Class::virtual_alias, nullptr, params_.unknown_alias_code(), "virtual alias"},
        {Class::virtual_mailbox, &mailboxes_, params_.unknown_mailbox_code(), "virtual mailbox"},
        {Class::relay, &relays_, params_.unknown_relay_code(), "relay recipient"},
    }};
    const auto row = std::ranges::find(rows, resolved.address_class, &Row::address_class);
    const bool undeliverable = resolved.transport == error_transport;
    const bool limited = row != rows.end() && (row->tables == nullptr || !row->tables->empty());
    if (!undeliverable && !limited)
        return {};

    AddressKeyOptions options = key_options_;
    const bool local = resolved.address_class == Class::local;
    options.is_local = [local](std::string_view) { return local; };
    const auto mapped = mapping_keys(resolved.recipient, options);
    const bool by_mailbox = !undeliverable && row->tables != nullptr;
    const auto mailbox = by_mailbox ? mailbox_keys(resolved.recipient, options) : std::vector<AddressKey>();
    struct Question {
        TableList* tables;
        const std::vector<AddressKey>* keys;
    };
    // Whatever is rewritten or expanded exists.
    const std::array<Question, 4> questions = {{
        {&recipient_canonical_, &mapped},
        {&canonical_, &mapped},
        {&aliases_, &mapped},
        {by_mailbox ? row->tables : nullptr, &mailbox},
    }};
    Listing listing;
    for (const Question& question : questions) {
        if (question.tables == nullptr || question.tables->empty())
            continue;
        const Lookup answer = find_first(*question.tables, *question.keys);
        if (answer.is_found())
            return {};
        if (answer.is_broken()) {
            listing.failure = answer.reason();
            return listing;
        }
    }
    listing.listed = false;
    // The error transport says why: relocated users, "error:" in transport maps.  In a domain of
    // aliases it says no more than that there is no such alias.
    if (undeliverable && resolved.address_class != Class::virtual_alias) {
        const auto [status, reason] = split_status(resolved.nexthop);
        listing.status = status ? status->text() : "5.0.0";
        listing.code = listing.status.starts_with('4') ? 450 : 550;
        listing.reason = trim(reason);
        return listing;
    }
    listing.code = row->code;
    listing.reason =
        params_.show_table_name() ? fmt::format("User unknown in {} table", row->name) : "User unknown";
    return listing;
}

} // namespace bulkhead
