#include "restrictions.h"

#include "access_action.h"
#include "policy.h"

#include "base/text.h"
#include "config/values.h"
#include "log/log.h"
#include "mail/address.h"
#include "table/ask.h"
#include "tls/facts.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace bulkhead
{

struct Restriction {
    std::string_view name;
    Task<Verdict> (AccessCheck::*evaluate)(const Rule& rule);
    bool has_table = false;
    bool stops_relaying = false;
};

// All restrictions by name.
struct RestrictionTable {
    static const Restriction* find(std::string_view name);
    static const std::array<Restriction, 25> all;
    static const Restriction unusable;
};

const std::array<Restriction, 25> RestrictionTable::all = {{
    {"permit", &AccessCheck::permit},
    {"reject", &AccessCheck::reject, false, true},
    {"defer", &AccessCheck::defer, false, true},
    {"permit_mynetworks", &AccessCheck::permit_mynetworks},
    {"permit_inet_interfaces", &AccessCheck::permit_inet_interfaces},
    {"permit_auth_destination", &AccessCheck::permit_auth_destination},
    // Nobody has logged in: this server does not offer it.
    {"permit_sasl_authenticated", &AccessCheck::undecided},
    {"permit_tls_clientcerts", &AccessCheck::permit_certificates},
    {"permit_tls_all_clientcerts", &AccessCheck::permit_all_certificates},
    {"reject_unauth_destination", &AccessCheck::reject_unauth_destination, false, true},
    {"defer_unauth_destination", &AccessCheck::defer_unauth_destination, false, true},
    {"reject_unlisted_recipient", &AccessCheck::reject_unlisted_recipient},
    {"reject_unlisted_sender", &AccessCheck::reject_unlisted_sender},
    {"reject_unauth_pipelining", &AccessCheck::reject_unauth_pipelining},
    {"reject_non_fqdn_helo_hostname", &AccessCheck::reject_non_fqdn_helo},
    {"reject_non_fqdn_hostname", &AccessCheck::reject_non_fqdn_helo},
    {"reject_invalid_helo_hostname", &AccessCheck::reject_invalid_helo},
    {"reject_invalid_hostname", &AccessCheck::reject_invalid_helo},
    {"reject_non_fqdn_sender", &AccessCheck::reject_non_fqdn_sender},
    {"reject_non_fqdn_recipient", &AccessCheck::reject_non_fqdn_recipient},
    {"check_client_access", &AccessCheck::check_client_access, true},
    {"check_ccert_access", &AccessCheck::check_certificate_access, true},
    {"check_helo_access", &AccessCheck::check_helo_access, true},
    {"check_sender_access", &AccessCheck::check_sender_access, true},
    {"check_recipient_access", &AccessCheck::check_recipient_access, true},
}};

// Stands where a list says something that cannot be followed.
const Restriction RestrictionTable::unusable = {"", &AccessCheck::misconfigured};

const Restriction* RestrictionTable::find(std::string_view name)
{
    const auto found =
        std::ranges::find_if(all, [&](const Restriction& r) { return equals_ignoring_case(r.name, name); });
    return found == all.end() ? nullptr : &*found;
}

namespace
{

constexpr int nesting_limit = 10; // restrictions named by tables that restrictions named ...

// A table without a check_ name looks up what its list is about.
std::string_view implied_check(ListUse use)
{
    switch (use) {
    case ListUse::client:
        return "check_client_access";
    case ListUse::helo:
        return "check_helo_access";
    case ListUse::sender:
        return "check_sender_access";
    default:
        return "check_recipient_access";
    }
}

std::string bracketed(std::string_view text)
{
    return fmt::format("<{}>", text);
}
std::string bracketed_address(std::string_view internal)
{
    return bracketed(external_form(internal));
}

std::string client_rejected(const AccessSubject& subject)
{
    return bracketed(subject.client.label()) + ": Client host rejected";
}
std::string helo_rejected(const AccessSubject& subject)
{
    return bracketed(subject.helo) + ": Helo command rejected";
}
std::string sender_rejected(const AccessSubject& subject)
{
    return bracketed_address(subject.sender.value_or("")) + ": Sender address rejected";
}
std::string recipient_rejected(const AccessSubject& subject)
{
    return bracketed_address(subject.recipient.value_or("")) + ": Recipient address rejected";
}

// "<a@b>: Recipient address rejected", by what the list is about.
std::string rejected(const AccessSubject& subject, ListUse use)
{
    switch (use) {
    case ListUse::client:
        return client_rejected(subject);
    case ListUse::helo:
        return helo_rejected(subject);
    case ListUse::sender:
        return sender_rejected(subject);
    case ListUse::recipient:
        return recipient_rejected(subject);
    case ListUse::data:
        return "<DATA>: Data command rejected";
    case ListUse::end_of_data:
        break;
    }
    return "<END-OF-MESSAGE>: End-of-data rejected";
}

bool is_fully_qualified(std::string_view host)
{
    return is_domain_literal(host) ||
           (is_valid_domain(host, true) && host.find('.') != std::string_view::npos);
}

// A domain that delivery needs no guessing for.
bool has_full_domain(std::string_view internal)
{
    const AddressParts parts = split_address(internal);
    return parts.has_domain && is_fully_qualified(parts.domain);
}

} // namespace

RestrictionList RestrictionList::parse(std::string_view text, ListUse use)
{
    RestrictionList list;
    const std::vector<std::string> words = parse_list(text);
    for (std::size_t i = 0; i < words.size(); ++i) {
        std::string_view name = words[i];
        std::string_view table;
        if (name.find(':') != std::string_view::npos) {
            table = name;
            name = implied_check(use);
        }
        Rule rule;
        rule.what = RestrictionTable::find(name);
        rule.use = use;
        if (rule.what == nullptr)
            rule.problem = fmt::format("unknown smtpd restriction: \"{}\"", printable(name));
        else if (rule.what->has_table && table.empty() && i + 1 < words.size())
            table = words[++i];
        if (rule.what != nullptr && rule.what->has_table && table.empty())
            rule.problem = fmt::format("restriction {} needs a table", name);
        if (!table.empty()) {
            rule.tables = std::make_unique<TableList>(TableList::open(table));
            rule.table_name = table;
        }
        if (!rule.problem.empty())
            rule.what = &RestrictionTable::unusable;
        list.rules_.push_back(std::move(rule));
    }
    return list;
}

std::vector<std::string> RestrictionList::problems() const
{
    std::vector<std::string> problems;
    for (const Rule& rule : rules_)
        if (!rule.problem.empty())
            problems.push_back(rule.problem);
    return problems;
}

bool RestrictionList::is_stale() const
{
    return std::ranges::any_of(rules_,
                               [](const Rule& rule) { return rule.tables && rule.tables->is_stale(); });
}

bool RestrictionList::can_stop_relaying() const
{
    return std::ranges::any_of(rules_, [](const Rule& rule) { return rule.what->stops_relaying; });
}

Task<Verdict> AccessCheck::run(const RestrictionList& list)
{
    for (const Rule& rule : list.rules()) {
        const auto evaluate = rule.what->evaluate;
        Verdict verdict = co_await (this->*evaluate)(rule);
        if (verdict.decided())
            co_return verdict;
    }
    co_return Verdict();
}

Verdict AccessCheck::generic(const Rule& rule, int code, std::string_view dsn, std::string_view text) const
{
    return Verdict(Reply(code, std::string(dsn), fmt::format("{}: {}", rejected(subject_, rule.use), text)));
}

// We are not as our administrator meant us to be: mail waits until that is mended.
Verdict AccessCheck::server_error(std::string_view reason) const
{
    log::warn(reason);
    return Verdict(Reply(451, "4.3.5", "Server configuration error"));
}

// A table or service that fails makes mail wait; it never lets anything through.
Verdict AccessCheck::look_up_failed(std::string_view what, std::string_view reason) const
{
    log::warn(fmt::format("{}: {}", what, reason));
    return Verdict(Reply(451, "4.3.0", fmt::format("{}: Temporary lookup failure", bracketed_address(what))));
}

Task<Verdict> AccessCheck::permit(const Rule&)
{
    co_return Verdict::permit();
}

Task<Verdict> AccessCheck::undecided(const Rule&)
{
    co_return Verdict();
}

Task<Verdict> AccessCheck::misconfigured(const Rule& rule)
{
    co_return server_error(rule.problem);
}

Task<Verdict> AccessCheck::reject(const Rule& rule)
{
    co_return generic(rule, policy_.params().reject_code(), "5.7.1", "Access denied");
}

Task<Verdict> AccessCheck::defer(const Rule& rule)
{
    co_return generic(rule, policy_.params().defer_code(), "4.7.1", "Try again later");
}

Task<Verdict> AccessCheck::permit_mynetworks(const Rule&)
{
    const MatchList& networks = policy_.mynetworks();
    const auto look_up = [&] { return networks.match(subject_.client.address); };
    const ListMatch match = co_await ask(networks.may_block(), look_up);
    if (match.is_broken())
        co_return look_up_failed("mynetworks", match.reason);
    co_return match ? Verdict::permit() : Verdict();
}

// The fingerprints of the client's certificate and of its key, as keys of tables.
static std::vector<AddressKey> fingerprint_keys(const tls::Facts& facts)
{
    std::vector<AddressKey> keys;
    for (const std::string* print : {&facts.certificate_fingerprint, &facts.key_fingerprint})
        if (!print->empty())
            keys.push_back(AddressKey{*print, false, {}});
    return keys;
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
    co_return subject_.tls && subject_.tls->trusted ? Verdict::permit() : Verdict();
}

Task<Verdict> AccessCheck::check_certificate_access(const Rule& rule)
{
    if (!subject_.tls || !subject_.tls->has_certificate)
        co_return Verdict();
    const auto keys = fingerprint_keys(*subject_.tls);
    co_return co_await apply(rule, keys, client_rejected(subject_));
}

Task<Verdict> AccessCheck::permit_inet_interfaces(const Rule&)
{
    co_return policy_.is_own_address(subject_.client.address) ? Verdict::permit() : Verdict();
}

// Where mail for this address would go; asked once for the recipient of a command.
Task<Result<ipc::Resolved>> AccessCheck::resolve(std::string_view address)
{
    if (recipient_ && recipient_->address == address)
        co_return recipient_->resolved;
    std::string internal(address);
    CO_TRY(std::string canonical, co_await policy_.rewriter().rewrite(ipc::RewriteContext::local, internal));
    std::string sender(subject_.sender.value_or(""));
    CO_TRY(ipc::Resolved resolved,
           co_await policy_.rewriter().resolve(std::move(sender), std::move(canonical)));
    recipient_ = Resolution(std::move(internal), resolved);
    co_return resolved;
}

Task<Verdict> AccessCheck::permit_auth_destination(const Rule&)
{
    if (!subject_.recipient)
        co_return Verdict();
    const auto resolved = co_await resolve(*subject_.recipient);
    if (!resolved)
        co_return look_up_failed(*subject_.recipient, resolved.error().context);
    co_return policy_.is_authorized(*resolved) ? Verdict::permit() : Verdict();
}

Task<Verdict> AccessCheck::reject_unauth_destination(const Rule&)
{
    if (!subject_.recipient)
        co_return Verdict();
    const auto resolved = co_await resolve(*subject_.recipient);
    if (!resolved)
        co_return look_up_failed(*subject_.recipient, resolved.error().context);
    if (policy_.is_authorized(*resolved))
        co_return Verdict();
    const std::string text = bracketed_address(*subject_.recipient) + ": Relay access denied";
    co_return Verdict(Reply(policy_.params().relay_code(), "5.7.1", text));
}

Task<Verdict> AccessCheck::defer_unauth_destination(const Rule& rule)
{
    Verdict verdict = co_await reject_unauth_destination(rule);
    if (!verdict.refused() || verdict.reply().code < 500)
        co_return verdict;
    co_return Verdict(Reply(454, "4.7.1", verdict.reply().lines));
}

Task<Verdict> AccessCheck::reject_unlisted_recipient(const Rule&)
{
    co_return co_await recipient_is_listed();
}

Task<Verdict> AccessCheck::recipient_is_listed()
{
    if (!subject_.recipient)
        co_return Verdict();
    co_return co_await is_listed(*subject_.recipient, false);
}

Task<Verdict> AccessCheck::reject_unlisted_sender(const Rule&)
{
    co_return co_await sender_is_listed();
}

Task<Verdict> AccessCheck::sender_is_listed()
{
    if (!subject_.sender || subject_.sender->empty())
        co_return Verdict();
    co_return co_await is_listed(*subject_.sender, true);
}

Task<Verdict> AccessCheck::is_listed(std::string_view address, bool is_sender)
{
    const auto resolved = co_await resolve(address);
    if (!resolved)
        co_return look_up_failed(address, resolved.error().context);
    const Listing listing = co_await policy_.listing_of(*resolved);
    if (!listing.failure.empty())
        co_return look_up_failed(address, listing.failure);
    if (listing.listed)
        co_return Verdict();
    const std::string who = is_sender ? sender_rejected(subject_) : recipient_rejected(subject_);
    co_return Verdict(
        Reply(listing.code, is_sender ? "5.1.0" : "5.1.1", fmt::format("{}: {}", who, listing.reason)));
}

Task<Verdict> AccessCheck::reject_unauth_pipelining(const Rule& rule)
{
    if (!subject_.broke_pipelining)
        co_return Verdict();
    co_return generic(rule, 503, "5.5.0", "Improper use of SMTP command pipelining");
}

Task<Verdict> AccessCheck::reject_non_fqdn_helo(const Rule&)
{
    if (subject_.helo.empty() || is_fully_qualified(subject_.helo))
        co_return Verdict();
    const std::string text = helo_rejected(subject_) + ": need fully-qualified hostname";
    co_return Verdict(Reply(policy_.params().non_fqdn_code(), "5.5.2", text));
}

Task<Verdict> AccessCheck::reject_invalid_helo(const Rule&)
{
    if (subject_.helo.empty() || is_valid_domain(subject_.helo, true) || literal_address(subject_.helo))
        co_return Verdict();
    const std::string text = helo_rejected(subject_) + ": Invalid name";
    co_return Verdict(Reply(policy_.params().invalid_name_code(), "5.5.2", text));
}

Task<Verdict> AccessCheck::reject_non_fqdn_sender(const Rule&)
{
    if (!subject_.sender || subject_.sender->empty() || has_full_domain(*subject_.sender))
        co_return Verdict();
    const std::string text = sender_rejected(subject_) + ": need fully-qualified address";
    co_return Verdict(Reply(policy_.params().non_fqdn_code(), "5.5.2", text));
}

Task<Verdict> AccessCheck::reject_non_fqdn_recipient(const Rule&)
{
    if (!subject_.recipient || has_full_domain(*subject_.recipient))
        co_return Verdict();
    const std::string text = recipient_rejected(subject_) + ": need fully-qualified address";
    co_return Verdict(Reply(policy_.params().non_fqdn_code(), "5.5.2", text));
}

Task<Verdict> AccessCheck::check_client_access(const Rule& rule)
{
    std::vector<AddressKey> keys;
    if (subject_.client.name != "unknown")
        keys = access_domain_keys(subject_.client.name, policy_.key_options());
    for (AddressKey& key : access_network_keys(subject_.client.address))
        keys.push_back(std::move(key));
    co_return co_await apply(rule, keys, client_rejected(subject_));
}

Task<Verdict> AccessCheck::check_helo_access(const Rule& rule)
{
    if (subject_.helo.empty())
        co_return Verdict();
    const auto keys = access_domain_keys(subject_.helo, policy_.key_options());
    co_return co_await apply(rule, keys, helo_rejected(subject_));
}

Task<Verdict> AccessCheck::check_sender_access(const Rule& rule)
{
    if (!subject_.sender)
        co_return Verdict();
    const auto keys =
        access_address_keys(*subject_.sender, policy_.params().null_key(), policy_.key_options());
    co_return co_await apply(rule, keys, sender_rejected(subject_));
}

Task<Verdict> AccessCheck::check_recipient_access(const Rule& rule)
{
    if (!subject_.recipient)
        co_return Verdict();
    const auto keys =
        access_address_keys(*subject_.recipient, policy_.params().null_key(), policy_.key_options());
    co_return co_await apply(rule, keys, recipient_rejected(subject_));
}

// what: "<a@b>: Sender address rejected".
Task<Verdict> AccessCheck::apply(const Rule& rule, const std::vector<AddressKey>& keys, std::string what)
{
    using Kind = AccessAction::Kind;
    const auto look_up = [&] { return find_first(*rule.tables, keys); };
    const Lookup answer = co_await ask(rule.tables->may_block(), look_up);
    if (answer.is_absent())
        co_return Verdict();
    if (answer.is_broken())
        co_return server_error(fmt::format("{}: table lookup problem: {}", rule.table_name, answer.reason()));
    const SmtpdParams& params = policy_.params();
    const AccessAction action = parse_access_action(answer.value());
    const std::string text = fmt::format("{}: {}", what, action.text.empty() ? "Access denied" : action.text);
    const auto status = [&](const char* fallback) {
        return action.dsn.empty() ? std::string(fallback) : action.dsn;
    };
    switch (action.kind) {
    case Kind::permit:
        co_return Verdict::permit();
    case Kind::undecided:
        co_return Verdict();
    case Kind::reject:
        co_return Verdict(Reply(params.access_reject_code(), status("5.7.1"), text));
    case Kind::defer:
        co_return Verdict(Reply(params.access_defer_code(), status("4.7.1"), text));
    case Kind::reply:
        co_return Verdict(Reply(action.code, status(action.code < 500 ? "4.7.1" : "5.7.1"), text));
    case Kind::restrictions:
        break;
    }
    if (depth_ >= nesting_limit)
        co_return server_error(
            fmt::format("access table {}: restrictions are nested too deep", rule.table_name));
    const RestrictionList list = RestrictionList::parse(action.text, rule.use);
    const std::vector<std::string> problems = list.problems();
    if (!problems.empty())
        co_return server_error(fmt::format("access table {}: {}", rule.table_name, problems.front()));
    ++depth_;
    Verdict verdict = co_await run(list);
    --depth_;
    co_return verdict;
}

} // namespace bulkhead
