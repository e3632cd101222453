// check_*_access: names and addresses of a session looked up in access tables, and what is
// done with the answer.
#include "restrictions.h"

#include "policy.h"

#include "base/text.h"
#include "dns/resolver.h"
#include "log/log.h"
#include "mail/address.h"
#include "table/ask.h"
#include "tls/facts.h"

#include <algorithm>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

using Kind = AccessAction::Kind;

constexpr std::size_t most_hosts = 20; // mail exchangers or name servers looked at

// The part of an internal address that a list of its domain's hosts is about.
std::string domain_of(std::string_view name, Part part)
{
    if (part != Part::sender && part != Part::recipient)
        return std::string(name);
    return std::string(split_address(name).domain);
}

// "X-Header: value"; nothing else may get in front of a message.
bool is_header_line(std::string_view text)
{
    const auto colon = text.find(':');
    const auto is_name_character = [](char c) { return c > ' ' && c < 127 && c != ':'; };
    return colon != text.npos && colon > 0 && std::ranges::all_of(text.substr(0, colon), is_name_character) &&
           text.find_first_of(std::string_view("\r\n\0", 3)) == text.npos;
}

} // namespace

std::vector<AddressKey> fingerprint_keys(const tls::Facts& facts)
{
    std::vector<AddressKey> keys;
    for (const std::string* print : {&facts.certificate_fingerprint, &facts.key_fingerprint})
        if (!print->empty())
            keys.push_back(AddressKey{*print, false, {}});
    return keys;
}

// Nothing when the session has no such thing.
std::optional<std::string_view> AccessCheck::name_of(Part part) const
{
    const auto unless_empty = [](std::string_view text) {
        return text.empty() ? std::nullopt : std::optional(text);
    };
    switch (part) {
    case Part::client:
        return subject_.client.name;
    case Part::reverse_client:
        return subject_.client.reverse_name;
    case Part::helo:
        return unless_empty(subject_.helo);
    case Part::sender:
        return subject_.sender;
    case Part::recipient:
        return subject_.recipient;
    case Part::etrn:
        return unless_empty(subject_.etrn_domain);
    case Part::login:
        return unless_empty(subject_.sasl_username);
    case Part::certificate:
    case Part::none:
        break;
    }
    return std::nullopt;
}

Task<Verdict> AccessCheck::check_access(const Rule& rule)
{
    co_return co_await check_part(rule, rule.what->part, rule.what->via);
}

// A table without a check_ name: what its list is about.
Task<Verdict> AccessCheck::check_implied_access(const Rule& rule)
{
    const Part of_list = list_part();
    const Part part = of_list == Part::none ? Part::recipient : of_list;
    co_return co_await check_part(rule, part, Via::itself);
}

Task<Verdict> AccessCheck::check_part(const Rule& rule, Part part, Via via)
{
    if (part == Part::certificate) {
        if (!subject_.tls || !subject_.tls->has_certificate)
            co_return Verdict();
        const auto prints = fingerprint_keys(*subject_.tls);
        co_return co_await look_up(rule, prints, part);
    }
    const auto name = name_of(part);
    if (!name)
        co_return Verdict();
    if (via != Via::itself)
        co_return co_await check_hosts(rule, part, via, domain_of(*name, part));
    const AddressKeyOptions& options = policy_.key_options();
    std::vector<AddressKey> keys;
    if (part == Part::sender || part == Part::recipient)
        keys = access_address_keys(*name, policy_.params().null_key(), options);
    else if (part == Part::login)
        keys.push_back(AddressKey{std::string(*name), false, {}});
    else if (*name != "unknown" || (part != Part::client && part != Part::reverse_client))
        keys = access_domain_keys(*name, options);
    if (part == Part::client)
        for (AddressKey& key : access_network_keys(subject_.client.address))
            keys.push_back(std::move(key));
    if (keys.empty())
        co_return Verdict();
    co_return co_await look_up(rule, keys, part);
}

Task<Verdict> AccessCheck::look_up(const Rule& rule, const std::vector<AddressKey>& keys, Part part)
{
    const auto find = [&] { return find_first(*rule.tables, keys); };
    const Lookup answer = co_await ask(rule.tables->may_block(), find);
    if (answer.is_absent())
        co_return Verdict();
    const std::string source = "access table " + rule.text;
    if (answer.is_broken())
        co_return server_error(fmt::format("{}: table lookup problem: {}", rule.text, answer.reason()));
    AccessAction action = parse_access_action(answer.value());
    co_return co_await act(std::move(action), part, source);
}

// check_*_{a,mx,ns}_access: the hosts that a name leads to, by name and address.
Task<Verdict> AccessCheck::check_hosts(const Rule& rule, Part part, Via via, std::string name)
{
    if (name.empty() || name == "unknown" || policy_.resolver() == nullptr)
        co_return Verdict();
    std::vector<std::string> hosts;
    if (const auto literal = literal_address(name))
        hosts.push_back(*literal);
    else if (!is_valid_domain(name))
        co_return Verdict();
    else
        hosts = co_await hosts_of(name, via);
    for (const std::string& host : hosts) {
        const std::vector<AddressKey> keys = co_await host_keys(host, via != Via::a);
        // Each host is looked up alone, name before addresses.
        Verdict verdict = co_await look_up(rule, keys, part);
        if (verdict.decided() && !verdict.refused())
            co_return server_error(fmt::format("access table {}: OK for a host of {} would let its client do "
                                               "anything; use DUNNO instead",
                                               rule.text, name));
        if (verdict.decided())
            co_return verdict;
    }
    co_return Verdict();
}

Task<std::vector<std::string>> AccessCheck::hosts_of(std::string name, Via via)
{
    FilteredResolver& resolver = policy_.filtered_dns();
    std::vector<std::string> hosts;
    if (via == Via::a) {
        hosts.push_back(std::move(name));
    } else if (via == Via::mx) {
        const auto answer = co_await resolver.mx(name);
        if (answer.status == dns::Status::temporary || answer.status == dns::Status::bogus)
            log::warn(fmt::format("Unable to look up MX host for {}", name));
        else if (answer.status != dns::Status::found)
            hosts.push_back(std::move(name)); // RFC 5321, 5.1: the implicit one
        for (const dns::MxRecord& record : answer.records)
            if (!record.host.empty() && hosts.size() < most_hosts)
                hosts.push_back(record.host);
    } else {
        // The name servers of the zone that the name is in.
        while (hosts.empty() && name.find('.') != name.npos) {
            const auto answer = co_await resolver.ns(name);
            for (const dns::HostRecord& record : answer.records)
                if (hosts.size() < most_hosts)
                    hosts.push_back(record.name);
            if (answer.status == dns::Status::temporary || answer.status == dns::Status::bogus) {
                log::warn(fmt::format("Unable to look up NS host for {}", name));
                break;
            }
            name.erase(0, name.find('.') + 1);
        }
    }
    co_return hosts;
}

Task<std::vector<AddressKey>> AccessCheck::host_keys(std::string host, bool with_name)
{
    std::vector<AddressKey> keys;
    const auto add_network = [&keys](const std::string& address) {
        for (AddressKey& key : access_network_keys(address))
            keys.push_back(std::move(key));
    };
    if (SocketAddress::parse(host)) {
        add_network(host);
        co_return keys;
    }
    if (with_name)
        keys = access_domain_keys(host, policy_.key_options());
    FilteredResolver& resolver = policy_.filtered_dns();
    const auto v4 = co_await resolver.a(host);
    const auto v6 = co_await resolver.aaaa(host);
    if (v4.status == dns::Status::temporary && v6.status != dns::Status::found)
        log::warn(fmt::format("Unable to look up host {}", host));
    for (const auto* answer : {&v4, &v6})
        for (const SocketAddress& address : answer->records)
            if (keys.size() < 100)
                add_network(address.text());
    co_return keys;
}

// source: the table or server that said so, for log lines.
Task<Verdict> AccessCheck::act(AccessAction action, Part part, std::string_view source)
{
    const SmtpdParams& params = policy_.params();
    const auto reply = [&](int code, std::string_view fallback) {
        const std::string what = part == Part::none ? list_rejected() : rejected(part);
        return refusal(code, action.dsn.empty() ? fallback : std::string_view(action.dsn),
                       fmt::format("{}: {}", what, action.text.empty() ? "Access denied" : action.text));
    };
    switch (action.kind) {
    case Kind::permit:
        co_return Verdict::permit();
    case Kind::undecided:
        co_return Verdict();
    case Kind::reject:
        co_return reply(params.access_reject_code(), "5.7.1");
    case Kind::defer:
        co_return reply(params.access_defer_code(), "4.7.1");
    case Kind::reply:
        co_return reply(action.code, "5.7.1");
    case Kind::defer_if_permit:
    case Kind::defer_if_reject: {
        if (action.text.empty())
            action.text = "Service unavailable";
        const Verdict later = reply(params.access_defer_code(), "4.7.1");
        std::optional<Reply>& kept =
            action.kind == Kind::defer_if_permit ? defer_if_permit_ : defer_if_reject_;
        if (warns_)
            log_access("reject_warning", later.reply().summary());
        else if (!kept)
            kept = later.reply();
        co_return Verdict();
    }
    case Kind::restrictions:
        co_return co_await run_named(std::move(action.text), source);
    default:
        co_return act_on_message(action, part, source);
    }
}

// Actions that let the command pass and change what becomes of the message.
Verdict AccessCheck::act_on_message(const AccessAction& action, Part part, std::string_view source)
{
    struct Row {
        Kind kind;
        std::string_view name;
        std::string_view log_word;
    };
    static constexpr std::array<Row, 8> rows = {{
        {Kind::hold, "HOLD", "hold"},
        {Kind::discard, "DISCARD", "discard"},
        {Kind::warn, "WARN", "warn"},
        {Kind::info, "INFO", "info"},
        {Kind::filter, "FILTER", "filter"},
        {Kind::redirect, "REDIRECT", "redirect"},
        {Kind::bcc, "BCC", "bcc"},
        {Kind::prepend, "PREPEND", ""},
    }};
    const Row& row = *std::ranges::find(rows, action.kind, &Row::kind);
    const std::string& text = action.text;
    if (row.kind == Kind::warn || row.kind == Kind::info) {
        log_access(row.log_word, text.empty() ? fmt::format("triggers {}", row.name) : text);
        return Verdict();
    }
    const bool wants_address = row.kind == Kind::redirect || row.kind == Kind::bcc;
    const auto internal = wants_address ? unquote(text) : Result<std::string>(text);
    const bool good = row.kind == Kind::filter    ? text.find(':') != text.npos
                      : wants_address             ? internal && internal->find('@') != internal->npos
                      : row.kind == Kind::prepend ? is_header_line(text)
                                                  : true;
    if (!good) {
        log::warn(fmt::format("{}: bad argument of {}: \"{}\"", source, row.name, printable(text)));
        return Verdict();
    }
    if (subject_.actions == nullptr || (row.kind == Kind::prepend && subject_.stage == "END-OF-MESSAGE")) {
        log::warn(fmt::format("{}: action {} has no effect at {}", source, row.name, subject_.stage));
        return Verdict();
    }
    MessageActions& actions = *subject_.actions;
    std::string told = text;
    if (wants_address || row.kind == Kind::filter)
        told = fmt::format("triggers {} {}", row.name, text);
    else if (text.empty())
        told = fmt::format("triggers {} action", row.name);
    if (row.kind != Kind::prepend)
        log_access(row.log_word,
                   fmt::format("{} {}", class_and_name(part == Part::none ? Part::client : part), told));
    switch (row.kind) {
    case Kind::hold:
        actions.hold = true;
        break;
    case Kind::discard:
        actions.discard = true;
        break;
    case Kind::filter:
        actions.filter = text;
        break;
    case Kind::redirect:
        actions.redirect = *internal;
        break;
    case Kind::bcc:
        if (std::ranges::find(actions.bcc, *internal) == actions.bcc.end() && actions.bcc.size() < 100)
            actions.bcc.push_back(*internal);
        break;
    default:
        if (actions.prepend.size() < 100)
            actions.prepend.push_back(text);
        break;
    }
    return Verdict();
}

// A table may name restrictions, and classes of them.
Task<Verdict> AccessCheck::run_named(std::string names, std::string_view source)
{
    RestrictionList list = RestrictionList::parse_names(names, &policy_);
    const auto open = [&] { list.open_tables(); };
    co_await ask(list.has_tables(), open);
    const std::vector<std::string> problems = list.problems();
    if (!problems.empty())
        co_return server_error(fmt::format("{}: {}", source, problems.front()));
    const auto entered = enter();
    if (!entered)
        co_return server_error(fmt::format("{}: {}", source, entered.error().context));
    Verdict verdict = co_await run_rules(list.rules());
    --depth_;
    co_return verdict;
}

} // namespace bulkhead
