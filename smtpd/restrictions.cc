#include "restrictions.h"

#include "policy.h"

#include "base/text.h"
#include "config/values.h"
#include "log/log.h"
#include "mail/address.h"
#include "table/ask.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace bulkhead
{

// All restrictions by name.
struct RestrictionTable {
    static const Restriction* find(std::string_view name);
    static const std::array<Restriction, 80> all;
    static const Restriction unusable; // stands where a list says something that cannot be followed
    static const Restriction by_class; // a name of smtpd_restriction_classes
    static const Restriction implied;  // a table without a check_ name

    static constexpr auto table = Argument::table;
    static constexpr auto dns_list = Argument::dns_list;
    static constexpr auto none = Argument::none;
};

const std::array<Restriction, 80> RestrictionTable::all = {{
    {"permit", &AccessCheck::permit},
    {"reject", &AccessCheck::reject, none, Part::none, Via::itself, true},
    {"defer", &AccessCheck::defer, none, Part::none, Via::itself, true},
    {"defer_if_permit", &AccessCheck::defer_if_permit, none, Part::none, Via::itself, true},
    {"defer_if_reject", &AccessCheck::defer_if_reject},
    {"warn_if_reject", &AccessCheck::warn_if_reject},
    {"sleep", &AccessCheck::pause, Argument::seconds},
    {"reject_plaintext_session", &AccessCheck::reject_plaintext_session},
    {"reject_unauth_pipelining", &AccessCheck::reject_unauth_pipelining},
    {"check_policy_service", &AccessCheck::check_policy_service, Argument::policy_server},
    {"check_address_map", &AccessCheck::check_implied_access, table},

    {"permit_mynetworks", &AccessCheck::permit_mynetworks},
    {"permit_inet_interfaces", &AccessCheck::permit_inet_interfaces},
    {"permit_sasl_authenticated", &AccessCheck::permit_logged_in},
    {"permit_tls_clientcerts", &AccessCheck::permit_certificates},
    {"permit_tls_all_clientcerts", &AccessCheck::permit_all_certificates},
    {"check_ccert_access", &AccessCheck::check_access, table, Part::certificate},
    {"reject_sender_login_mismatch", &AccessCheck::reject_sender_login},
    {"reject_authenticated_sender_login_mismatch", &AccessCheck::reject_authenticated_sender},
    {"reject_unauthenticated_sender_login_mismatch", &AccessCheck::reject_unauthenticated_sender},
    {"reject_known_sender_login_mismatch", &AccessCheck::reject_known_sender_login},
    {"check_sasl_access", &AccessCheck::check_access, table, Part::login},
    {"check_client_access", &AccessCheck::check_access, table, Part::client},
    {"check_client_a_access", &AccessCheck::check_access, table, Part::client, Via::a},
    {"check_client_mx_access", &AccessCheck::check_access, table, Part::client, Via::mx},
    {"check_client_ns_access", &AccessCheck::check_access, table, Part::client, Via::ns},
    {"check_reverse_client_hostname_access", &AccessCheck::check_access, table, Part::reverse_client},
    {"check_reverse_client_hostname_a_access", &AccessCheck::check_access, table, Part::reverse_client,
     Via::a},
    {"check_reverse_client_hostname_mx_access", &AccessCheck::check_access, table, Part::reverse_client,
     Via::mx},
    {"check_reverse_client_hostname_ns_access", &AccessCheck::check_access, table, Part::reverse_client,
     Via::ns},
    {"reject_unknown_client_hostname", &AccessCheck::reject_unknown_client},
    {"reject_unknown_client", &AccessCheck::reject_unknown_client},
    {"reject_unknown_reverse_client_hostname", &AccessCheck::reject_unknown_reverse_client},
    {"reject_unknown_forward_client_hostname", &AccessCheck::reject_unknown_forward_client},
    {"reject_rbl_client", &AccessCheck::reject_listed, dns_list, Part::client},
    {"reject_rbl", &AccessCheck::reject_listed, dns_list, Part::client},
    {"reject_maps_rbl", &AccessCheck::reject_old_lists},
    {"reject_rhsbl_client", &AccessCheck::reject_listed, dns_list, Part::client, Via::ns},
    {"reject_rhsbl_reverse_client", &AccessCheck::reject_listed, dns_list, Part::reverse_client, Via::ns},
    {"permit_dnswl_client", &AccessCheck::permit_listed, dns_list, Part::client},
    {"permit_rhswl_client", &AccessCheck::permit_listed, dns_list, Part::client, Via::ns},
    {"permit_naked_ip_address", &AccessCheck::permit_naked_address},

    {"check_helo_access", &AccessCheck::check_access, table, Part::helo},
    {"check_helo_a_access", &AccessCheck::check_access, table, Part::helo, Via::a},
    {"check_helo_mx_access", &AccessCheck::check_access, table, Part::helo, Via::mx},
    {"check_helo_ns_access", &AccessCheck::check_access, table, Part::helo, Via::ns},
    {"reject_non_fqdn_helo_hostname", &AccessCheck::reject_non_fqdn_helo},
    {"reject_non_fqdn_hostname", &AccessCheck::reject_non_fqdn_helo},
    {"reject_invalid_helo_hostname", &AccessCheck::reject_invalid_helo},
    {"reject_invalid_hostname", &AccessCheck::reject_invalid_helo},
    {"reject_unknown_helo_hostname", &AccessCheck::reject_unknown_helo},
    {"reject_unknown_hostname", &AccessCheck::reject_unknown_helo},
    {"reject_rhsbl_helo", &AccessCheck::reject_listed, dns_list, Part::helo, Via::ns},

    {"check_sender_access", &AccessCheck::check_access, table, Part::sender},
    {"check_sender_a_access", &AccessCheck::check_access, table, Part::sender, Via::a},
    {"check_sender_mx_access", &AccessCheck::check_access, table, Part::sender, Via::mx},
    {"check_sender_ns_access", &AccessCheck::check_access, table, Part::sender, Via::ns},
    {"reject_non_fqdn_sender", &AccessCheck::reject_non_fqdn_address, none, Part::sender},
    {"reject_unknown_sender_domain", &AccessCheck::reject_unknown_domain, none, Part::sender},
    {"reject_unknown_address", &AccessCheck::reject_unknown_domain, none, Part::sender},
    {"reject_unverified_sender", &AccessCheck::reject_unverified, none, Part::sender},
    {"reject_unlisted_sender", &AccessCheck::reject_unlisted_sender},
    {"reject_rhsbl_sender", &AccessCheck::reject_listed, dns_list, Part::sender, Via::ns},

    {"check_recipient_access", &AccessCheck::check_access, table, Part::recipient},
    {"check_recipient_a_access", &AccessCheck::check_access, table, Part::recipient, Via::a},
    {"check_recipient_mx_access", &AccessCheck::check_access, table, Part::recipient, Via::mx},
    {"check_recipient_ns_access", &AccessCheck::check_access, table, Part::recipient, Via::ns},
    {"permit_auth_destination", &AccessCheck::permit_auth_destination},
    {"permit_mx_backup", &AccessCheck::permit_mx_backup},
    {"reject_unauth_destination", &AccessCheck::reject_unauth_destination, none, Part::none, Via::itself,
     true},
    {"defer_unauth_destination", &AccessCheck::defer_unauth_destination, none, Part::none, Via::itself, true},
    {"check_relay_domains", &AccessCheck::check_relay_domains, none, Part::none, Via::itself, true},
    {"reject_non_fqdn_recipient", &AccessCheck::reject_non_fqdn_address, none, Part::recipient},
    {"reject_unknown_recipient_domain", &AccessCheck::reject_unknown_domain, none, Part::recipient},
    {"reject_unverified_recipient", &AccessCheck::reject_unverified, none, Part::recipient},
    {"reject_unlisted_recipient", &AccessCheck::reject_unlisted_recipient},
    {"check_recipient_maps", &AccessCheck::reject_unlisted_recipient},
    {"reject_rhsbl_recipient", &AccessCheck::reject_listed, dns_list, Part::recipient, Via::ns},
    {"reject_multi_recipient_bounce", &AccessCheck::reject_multi_recipient_bounce},

    {"check_etrn_access", &AccessCheck::check_access, table, Part::etrn},
}};

const Restriction RestrictionTable::unusable = {"", &AccessCheck::misconfigured};
const Restriction RestrictionTable::by_class = {"", &AccessCheck::follow_class};
const Restriction RestrictionTable::implied = {"", &AccessCheck::check_implied_access, table};

const Restriction* RestrictionTable::find(std::string_view name)
{
    const auto found =
        std::ranges::find_if(all, [&](const Restriction& r) { return equals_ignoring_case(r.name, name); });
    return found == all.end() ? nullptr : &*found;
}

namespace
{

constexpr int nesting_limit = 10;         // restrictions named by tables that restrictions named ...
constexpr unsigned longest_pause = 10000; // seconds

std::string_view argument_kind(Argument argument)
{
    switch (argument) {
    case Argument::dns_list:
        return "a domain";
    case Argument::policy_server:
        return "a server";
    case Argument::seconds:
        return "a number of seconds";
    default:
        return "a table";
    }
}

// What stands behind the name; the reason when it cannot be used.
Result<> take_argument(Rule& rule, std::string_view text, const Policy* policy)
{
    rule.text = text;
    switch (rule.what->argument) {
    case Argument::none:
        break;
    case Argument::table:
        break; // open_tables()
    case Argument::dns_list: {
        TRY(rule.dns_list, DnsList::parse(text));
        break;
    }
    case Argument::policy_server: {
        if (policy == nullptr)
            return Error{Fault::config, "no policy server can be asked here"};
        TRY(rule.server, policy->policy_server(text));
        break;
    }
    case Argument::seconds: {
        const auto seconds = parse_unsigned(text);
        if (!seconds || *seconds > longest_pause)
            return Error{Fault::config, fmt::format("bad number of seconds \"{}\"", printable(text))};
        rule.seconds = static_cast<unsigned>(*seconds);
        break;
    }
    }
    return {};
}

} // namespace

RestrictionList RestrictionList::parse(std::string_view text, const Policy* policy)
{
    RestrictionList list = parse_names(text, policy);
    list.open_tables();
    return list;
}

void RestrictionList::open_tables()
{
    for (Rule& rule : rules_)
        if (rule.what->argument == Argument::table) {
            TableOptions options;
            options.parameter = rule.what->name;
            rule.tables = std::make_unique<TableList>(TableList::open(rule.text, options));
        }
}

bool RestrictionList::has_tables() const
{
    return std::ranges::any_of(rules_,
                               [](const Rule& rule) { return rule.what->argument == Argument::table; });
}

RestrictionList RestrictionList::parse_names(std::string_view text, const Policy* policy)
{
    RestrictionList list;
    const std::vector<std::string> words = parse_list(text);
    for (std::size_t i = 0; i < words.size(); ++i) {
        const std::string& word = words[i];
        Rule rule;
        rule.what = RestrictionTable::find(word);
        if (rule.what == nullptr && word.find(':') != std::string::npos) {
            rule.what = &RestrictionTable::implied;
            --i; // the word is the argument
        } else if (rule.what == nullptr && policy != nullptr && policy->find_class(word) != nullptr) {
            rule.what = &RestrictionTable::by_class;
            rule.text = lower(word);
        } else if (rule.what == nullptr) {
            rule.problem = fmt::format("unknown smtpd restriction: \"{}\"", printable(word));
        }
        if (rule.problem.empty() && rule.what->argument != Argument::none) {
            if (++i >= words.size()) {
                rule.problem =
                    fmt::format("restriction {} needs {}", word, argument_kind(rule.what->argument));
            } else if (const auto taken = take_argument(rule, words[i], policy); !taken) {
                rule.problem = fmt::format("{}: {}", word, taken.error().context);
            }
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

bool RestrictionList::can_stop_relaying(const Policy* policy, int depth) const
{
    const auto stops = [&](const Rule& rule) {
        if (rule.what != &RestrictionTable::by_class)
            return rule.what->stops_relaying;
        const RestrictionList* list = policy != nullptr ? policy->find_class(rule.text) : nullptr;
        return list != nullptr && depth < nesting_limit && list->can_stop_relaying(policy, depth + 1);
    };
    return std::ranges::any_of(rules_, stops);
}

Task<Verdict> AccessCheck::run(const RestrictionList& list, ListUse use)
{
    use_ = use;
    parameter_ = list.parameter();
    warns_ = warn_next_ = told_permit_ = false;
    co_return co_await run_rules(list.rules());
}

// Rules of a list that another one names run as part of that one: what it is about, and
// whether it may only warn, stays the same.
Task<Verdict> AccessCheck::run_rules(const std::vector<Rule>& rules)
{
    const bool outer_warns = warns_;
    const std::size_t outer_ahead = std::exchange(asked_ahead_, 0);
    std::optional<Verdict> decided;
    for (std::size_t i = 0; i < rules.size() && !decided; ++i) {
        const Rule& rule = rules[i];
        if (rule.dns_list && i >= asked_ahead_ && !policy_.is_explained())
            co_await ask_ahead(rules, i);
        const bool warns = outer_warns || std::exchange(warn_next_, false);
        warns_ = warns;
        if (policy_.is_explained() && asks_others(rule)) {
            tell_not_asked(rule);
            continue;
        }
        const auto evaluate = rule.what->evaluate;
        Verdict verdict = co_await (this->*evaluate)(rule);
        if (policy_.is_explained())
            tell(rule, verdict);
        decided = settle(std::move(verdict), warns);
        const std::string_view name = rule.what->name.empty() ? std::string_view(rule.text) : rule.what->name;
        if (decided && !decided->refused())
            co_await log_permit(name);
    }
    warns_ = outer_warns;
    asked_ahead_ = outer_ahead;
    co_return decided ? *std::move(decided) : Verdict();
}

// smtpd_log_access_permit_actions: the innermost rule, once.
Task<> AccessCheck::log_permit(std::string_view name)
{
    const MatchList& wanted = policy_.permit_actions();
    if (wanted.empty() || std::exchange(told_permit_, true))
        co_return;
    const auto look_up = [&] { return wanted.match(name); };
    const ListMatch match = co_await ask(wanted.may_block(), look_up);
    if (match.is_broken())
        log::warn("smtpd_log_access_permit_actions: " + match.reason);
    else if (match)
        log_access("permit", fmt::format("action={} for {}", name, class_and_name(list_part(), "{1}={0}")));
}

// What a rule's verdict means here; nothing when the list goes on.
std::optional<Verdict> AccessCheck::settle(Verdict verdict, bool warns)
{
    if (!verdict.decided())
        return std::nullopt;
    if (!verdict.refused())
        return verdict;
    if (warns) {
        log_access("reject_warning", verdict.reply().summary());
        return std::nullopt;
    }
    // An earlier failure may have kept us from accepting: no final answer now.
    if (defer_if_reject_ && verdict.reply().code >= 500)
        return Verdict(*defer_if_reject_);
    return verdict;
}

Verdict AccessCheck::conclude(Verdict verdict) const
{
    if (!verdict.refused() && defer_if_permit_)
        return Verdict(*defer_if_permit_);
    return verdict;
}

void AccessCheck::log_access(std::string_view what, std::string_view text) const
{
    const Peer& client = subject_.client;
    const bool port = policy_.params().log_ports() && client.network;
    log::info(access_line(what, subject_, port ? client.label_with_port() : client.label(), text));
}

Verdict AccessCheck::refusal(int code, std::string_view dsn, std::string text) const
{
    return Verdict(Reply(code, agreeing_status(code, dsn), std::move(text)));
}

Verdict AccessCheck::generic(int code, std::string_view dsn, std::string_view text) const
{
    return refusal(code, dsn, fmt::format("{}: {}", list_rejected(), text));
}

Verdict AccessCheck::server_error(std::string_view reason) const
{
    log::warn(reason);
    return Verdict(Reply(451, "4.3.5", "Server configuration error"));
}

// A look-up has failed for the moment (reject_tempfail_action): now, or only if the mail would
// pass otherwise.
Verdict AccessCheck::tempfail(std::string_view action, const Verdict& later)
{
    if (action == "defer")
        return later;
    if (!warns_ && !defer_if_permit_)
        defer_if_permit_ = later.reply();
    return Verdict();
}

// A table or service that fails makes mail wait; it never lets anything through.
Verdict AccessCheck::look_up_failed(std::string_view what, std::string_view reason) const
{
    log::warn(fmt::format("{}: {}", what, reason));
    return Verdict(Reply(451, "4.3.0", fmt::format("<{}>: Temporary lookup failure", external_form(what))));
}

Task<Verdict> AccessCheck::misconfigured(const Rule& rule)
{
    co_return server_error(rule.problem);
}

Result<int> AccessCheck::enter()
{
    if (depth_ >= nesting_limit)
        return Error{Fault::config, "restrictions are nested too deep"};
    return ++depth_;
}

Task<Verdict> AccessCheck::follow_class(const Rule& rule)
{
    const RestrictionList* list = policy_.find_class(rule.text);
    const auto entered = enter();
    if (!entered || list == nullptr)
        co_return server_error(
            fmt::format("restriction class {}: restrictions are nested too deep", rule.text));
    Verdict verdict = co_await run_rules(list->rules());
    --depth_;
    co_return verdict;
}

// "<a@b>: Sender address", to be followed by what happens to it.
std::string AccessCheck::class_and_name(Part part, std::string_view form) const
{
    const auto told = [form](std::string_view name, std::string_view what) {
        return fmt::format(fmt::runtime(form), name, what);
    };
    switch (part) {
    case Part::helo:
        return told(subject_.helo, "Helo command");
    case Part::sender:
        return told(external_form(subject_.sender.value_or("")), "Sender address");
    case Part::recipient:
        return told(external_form(subject_.recipient.value_or("")), "Recipient address");
    case Part::etrn:
        return told(subject_.etrn_domain, "Etrn command");
    case Part::reverse_client:
        return told(subject_.client.reverse_name, "Unverified Client host");
    case Part::certificate:
        return told(subject_.client.label(), "Client certificate");
    case Part::login:
        return told(subject_.sasl_username, "SASL login name");
    case Part::client:
    case Part::none:
        break;
    }
    return told(subject_.client.label(), "Client host");
}

std::string AccessCheck::rejected(Part part) const
{
    return class_and_name(part) + " rejected";
}

// What a list of this kind is about.
Part AccessCheck::list_part() const
{
    switch (use_) {
    case ListUse::client:
        return Part::client;
    case ListUse::helo:
        return Part::helo;
    case ListUse::sender:
        return Part::sender;
    case ListUse::recipient:
        return Part::recipient;
    case ListUse::etrn:
        return Part::etrn;
    default:
        return Part::none;
    }
}

std::string AccessCheck::list_rejected() const
{
    if (use_ == ListUse::data)
        return "<DATA>: Data command rejected";
    if (use_ == ListUse::end_of_data)
        return "<END-OF-MESSAGE>: End-of-data rejected";
    return rejected(list_part());
}

} // namespace bulkhead
