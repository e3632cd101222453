// reject_rbl_client, reject_rhsbl_* and the lists of welcome clients.  The lists that stand
// in a row are asked at the same time; the rules then find the answers in the resolver's
// cache.
#include "restrictions.h"

#include "policy.h"

#include "async/scope.h"
#include "base/text.h"
#include "config/expand.h"
#include "config/values.h"
#include "dns/resolver.h"
#include "log/log.h"
#include "mail/address.h"
#include "table/ask.h"

#include <algorithm>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr std::size_t most_ahead = 20; // lists asked at the same time

Task<> ask_once(dns::Resolver* resolver, std::string question)
{
    (void)co_await resolver->a(std::move(question));
}

bool failed(dns::Status status)
{
    return status == dns::Status::temporary || status == dns::Status::bogus;
}

} // namespace

// The name whose existence means "listed"; empty: there is nothing to ask.  Rules about names
// (rhsbl) are told by Via::ns.
std::string AccessCheck::dns_list_question(const DnsList& list, Part part) const
{
    if (part == Part::none) {
        const auto address = SocketAddress::parse(subject_.client.address);
        return address ? reversed_address(*address) + '.' + list.domain() : std::string();
    }
    const auto name = name_of(part);
    if (!name)
        return {};
    const bool address = part == Part::sender || part == Part::recipient;
    const std::string domain(address ? split_address(*name).domain : *name);
    const bool numeric = literal_address(domain) || SocketAddress::parse(domain) || !is_valid_domain(domain);
    if (domain == "unknown" || domain.empty() || numeric)
        return {};
    return domain + '.' + list.domain();
}

// Part::none stands for the client's address.
static Part asked_part(const Restriction& restriction)
{
    return restriction.via == Via::itself ? Part::none : restriction.part;
}

Task<> AccessCheck::ask_ahead(const std::vector<Rule>& rules, std::size_t first)
{
    asked_ahead_ = first;
    while (asked_ahead_ < rules.size() && rules[asked_ahead_].dns_list && asked_ahead_ - first < most_ahead)
        ++asked_ahead_;
    if (asked_ahead_ - first < 2 || policy_.resolver() == nullptr)
        co_return;
    Scope questions;
    for (std::size_t i = first; i < asked_ahead_; ++i) {
        std::string question = dns_list_question(*rules[i].dns_list, asked_part(*rules[i].what));
        if (!question.empty())
            questions.spawn(ask_once, policy_.resolver(), std::move(question));
    }
    co_await questions.empty();
}

Task<DnsListing> AccessCheck::ask_dns_list(const DnsList& list, Part part)
{
    const std::string question = dns_list_question(list, part);
    if (question.empty() || policy_.resolver() == nullptr)
        co_return DnsListing::unlisted;
    const auto answer = co_await policy_.filtered_dns().a(question);
    if (failed(answer.status)) {
        log::warn(fmt::format("{}: RBL lookup error: Host or domain name not found. Name service error for "
                              "name={} type=A: Host not found, try again",
                              question, question));
        co_return DnsListing::unknown;
    }
    const auto counts = [&](const SocketAddress& address) { return list.counts(address); };
    co_return std::ranges::any_of(answer.records, counts) ? DnsListing::listed : DnsListing::unlisted;
}

Task<Verdict> AccessCheck::reject_listed(const Rule& rule)
{
    const Part part = asked_part(*rule.what);
    const DnsListing listing = co_await ask_dns_list(*rule.dns_list, part);
    if (listing != DnsListing::listed)
        co_return Verdict();
    co_return co_await refuse_listed(*rule.dns_list, part, dns_list_question(*rule.dns_list, part));
}

Task<Verdict> AccessCheck::permit_listed(const Rule& rule)
{
    const bool harmless = co_await may_permit();
    if (!harmless)
        co_return Verdict();
    const Part part = asked_part(*rule.what);
    const DnsListing listing = co_await ask_dns_list(*rule.dns_list, part);
    if (listing == DnsListing::listed)
        co_return Verdict::permit();
    if (listing == DnsListing::unknown && !warns_ && !defer_if_reject_) {
        const std::string text = fmt::format("{}: Temporary lookup failure", class_and_name(Part::client));
        defer_if_reject_ = refusal(450, "4.7.1", text).reply();
    }
    co_return Verdict();
}

// The lists of maps_rbl_domains.
Task<Verdict> AccessCheck::reject_old_lists(const Rule&)
{
    for (const std::string& name : policy_.params().old_dns_lists()) {
        const auto list = DnsList::parse(name);
        if (!list)
            co_return server_error("maps_rbl_domains: " + list.error().context);
        const DnsListing listing = co_await ask_dns_list(*list, Part::none);
        if (listing == DnsListing::listed)
            co_return co_await refuse_listed(*list, Part::none, dns_list_question(*list, Part::none));
    }
    co_return Verdict();
}

// default_rbl_reply or what rbl_reply_maps has for the list, filled in with what is known; the
// reason is the list's own TXT record.
Task<Verdict> AccessCheck::refuse_listed(const DnsList& list, Part part, std::string question)
{
    const auto answer = co_await policy_.resolver()->txt(std::move(question));
    std::string reason = answer.records.empty() ? std::string() : answer.records.front().text;
    TableList& replies = policy_.dns_list_replies();
    const std::string domain = list.domain();
    const auto find = [&] { return replies.find(domain); };
    const Lookup found = co_await ask(replies.may_block(), find);
    if (found.is_broken())
        co_return server_error("rbl_reply_maps: " + found.reason());
    const std::string& text = found.is_found() ? found.value() : policy_.params().dns_list_reply().text;
    const auto name =
        part == Part::none ? std::optional(std::string_view(subject_.client.address)) : name_of(part);
    const bool address = part == Part::sender || part == Part::recipient;
    const std::string what(address ? split_address(*name).domain : *name);
    const std::string full = class_and_name(part == Part::none ? Part::client : part);
    const std::string rbl_class = full.substr(full.rfind(": ") + 2);
    const auto value = [&](std::string_view macro) -> std::optional<std::string> {
        if (macro == "rbl_code")
            return std::to_string(policy_.params().dns_list_code());
        if (macro == "rbl_class")
            return rbl_class;
        if (macro == "rbl_what")
            return what;
        if (macro == "rbl_domain")
            return domain;
        if (macro == "rbl_reason" || macro == "rbl_txt")
            return reason.empty() ? std::nullopt : std::optional(reason);
        return policy_.reply_macro(macro, subject_);
    };
    const auto filtered = [&](std::string_view macro) -> std::optional<std::string> {
        auto plain = value(macro);
        if (plain)
            *plain = policy_.expansion_filtered(*std::move(plain));
        return plain;
    };
    const auto expanded = expand_once(text, filtered);
    if (!expanded)
        co_return server_error(
            fmt::format("reply for the DNS list {}: {}", domain, expanded.error().context));
    AccessAction action = parse_access_action(*expanded);
    if (action.kind != AccessAction::Kind::reply)
        co_return refusal(policy_.params().dns_list_code(), "5.7.1", *expanded);
    co_return refusal(action.code, action.dsn.empty() ? "5.7.1" : action.dsn, action.text);
}

} // namespace bulkhead
