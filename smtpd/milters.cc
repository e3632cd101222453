#include "milters.h"

#include "params.h"

#include "base/text.h"
#include "config/config.h"
#include "log/log.h"
#include "mail/address.h"
#include "os/jail.h"
#include "table/ask.h"
#include "tls/facts.h"

#include <fmt/format.h>

#include <algorithm>

namespace bulkhead
{

namespace
{

constexpr std::size_t max_named_lists = 1000;

Error at(const Config& config, std::string_view parameter, const Error& error)
{
    return {Fault::config, fmt::format("{}: {}: {}", config.place(parameter), parameter, error.context)};
}

Task<milter::Answer> tell_helo(milter::Filter& filter, const std::string& name,
                               const milter::MacroValue& value)
{
    co_return co_await filter.helo(name, value);
}
Task<milter::Answer> tell_mail(milter::Filter& filter, const std::string& sender,
                               const milter::MacroValue& value)
{
    std::vector<std::string> arguments;
    for (const std::string_view word : split(sender, "\n"))
        arguments.emplace_back(word);
    co_return co_await filter.mail(arguments, value);
}
Task<milter::Answer> tell_rcpt(milter::Filter& filter, const std::string& recipient,
                               const milter::MacroValue& value)
{
    const std::vector<std::string> arguments{recipient};
    co_return co_await filter.rcpt(arguments, value);
}
Task<milter::Answer> tell_data(milter::Filter& filter, const std::string&, const milter::MacroValue& value)
{
    co_return co_await filter.data(value);
}
Task<milter::Answer> tell_unknown(milter::Filter& filter, const std::string& line,
                                  const milter::MacroValue& value)
{
    co_return co_await filter.unknown(line, value);
}

} // namespace

Result<std::unique_ptr<MilterPolicy>> MilterPolicy::open(const Config& config, const SmtpdParams& params)
{
    std::unique_ptr<MilterPolicy> policy(new MilterPolicy(params));
    const bool off = std::ranges::find(params.overrides(), "no_milters") != params.overrides().end();
    if (off || (params.milters().empty() && params.milter_maps().empty()))
        return std::unique_ptr<MilterPolicy>();
    auto usual = milter::parse_milters(params.milters(), params.milter);
    if (!usual)
        return at(config, "smtpd_milters", usual.error());
    policy->usual_ = *std::move(usual);
    milter::resolve(policy->usual_);
    policy->maps_ = TableList::open(params.milter_maps());
    policy->macros_ = milter::Macros::from(params.milter);
    allow_network_in_jail();
    return policy;
}

Task<Result<const std::vector<milter::Settings>*>> MilterPolicy::milters_for(std::string address)
{
    using Answer = Result<const std::vector<milter::Settings>*>;
    if (maps_.empty())
        co_return Answer(&usual_);
    const auto look = [&] { return maps_.find(address); };
    const Lookup found = co_await ask(maps_.may_block(), look);
    if (found.is_broken())
        co_return Error(Fault::broken, found.reason());
    if (found.is_absent())
        co_return Answer(&usual_);
    const std::string list = equals_ignoring_case(trim(found.value()), "DISABLE") ? "" : found.value();
    for (const auto& [text, milters] : named_)
        if (text == list)
            co_return Answer(milters.get());
    auto milters = milter::parse_milters(list, params_.milter);
    if (!milters)
        co_return milters.error();
    if (named_.size() >= max_named_lists)
        co_return Error(Fault::limit, "smtpd_milter_maps name too many lists");
    milter::resolve(*milters); // of the jail: numbers, and names that it knows
    named_.emplace_back(list, std::make_unique<std::vector<milter::Settings>>(*std::move(milters)));
    co_return Answer(named_.back().second.get());
}

milter::MacroValue SessionMilters::macros_of(const AccessSubject& about) const
{
    return [this, &about](std::string_view name) -> std::optional<std::string> {
        const Peer& client = about.client;
        const auto set = [](std::string_view value) {
            return value.empty() ? std::nullopt : std::optional(std::string(value));
        };
        if (name == "j")
            return myhostname_;
        if (name == "v")
            return policy_.params().milter.macro_v();
        if (name == "_")
            return fmt::format("{} [{}]", client.name, client.address);
        if (name == "i")
            return set(about.queue_id);
        if (name == "daemon_name")
            return policy_.params().milter.daemon_name();
        if (name == "daemon_addr")
            return set(client.server_address);
        if (name == "daemon_port")
            return std::to_string(client.server_port);
        if (name == "client_addr")
            return client.address;
        if (name == "client_name")
            return client.name;
        if (name == "client_ptr")
            return client.reverse_name;
        if (name == "client_port")
            return std::to_string(client.port);
        if (name == "auth_type")
            return set(about.sasl_method);
        if (name == "auth_authen")
            return set(about.sasl_username);
        if (name == "auth_author")
            return set(about.sasl_sender);
        if (name == "mail_addr")
            return about.sender ? std::optional(external_form(*about.sender)) : std::nullopt;
        if (name == "rcpt_addr")
            return about.recipient ? std::optional(external_form(*about.recipient)) : std::nullopt;
        if (!about.tls)
            return std::nullopt;
        if (name == "tls_version")
            return about.tls->protocol;
        if (name == "cipher")
            return about.tls->cipher;
        if (name == "cipher_bits")
            return std::to_string(about.tls->used_bits);
        if (name == "cert_subject")
            return set(about.tls->common_name);
        if (name == "cert_issuer")
            return set(about.tls->issuer);
        return std::nullopt;
    };
}

Verdict SessionMilters::verdict(const milter::Answer& answer, const AccessSubject& about,
                                std::string_view label)
{
    switch (answer.kind) {
    case milter::Answer::Kind::go_on:
        break;
    case milter::Answer::Kind::hold:
        if (about.actions && !about.actions->hold) {
            about.actions->hold = true;
            log::info(access_line("milter-hold", about, label, "milter triggers HOLD action"));
        }
        break;
    case milter::Answer::Kind::discard:
        if (about.actions && !about.actions->discard) {
            about.actions->discard = true;
            log::info(access_line("milter-discard", about, label, "milter triggers DISCARD action"));
        }
        break;
    case milter::Answer::Kind::refuse:
        log::info(access_line("milter-reject", about, label, answer.reply.summary()));
        return Verdict(answer.reply);
    }
    return Verdict();
}

// One filter after the other; the first that refuses decides.
Task<Verdict> SessionMilters::tell(const AccessSubject& about, std::string label, Event event,
                                   std::string argument)
{
    const milter::MacroValue value = macros_of(about);
    for (const auto& filter : filters_) {
        const milter::Answer answer = co_await event(*filter, argument, value);
        Verdict found = verdict(answer, about, label);
        if (found.refused())
            co_return found;
        if (answer.kind == milter::Answer::Kind::discard)
            break;
    }
    co_return Verdict();
}

Task<Verdict> SessionMilters::connect(const AccessSubject& about, std::string label)
{
    const auto milters = co_await policy_.milters_for(about.client.address);
    if (!milters) {
        log::warn("smtpd_milter_maps: " + milters.error().context);
        co_return Verdict(Reply(421, "4.3.0", myhostname_ + " Server local data error"));
    }
    filters_.clear();
    const milter::MacroValue value = macros_of(about);
    const milter::Client client{about.client.name,
                                about.client.network ? about.client.address : std::string(),
                                about.client.port, about.client.v6};
    for (const milter::Settings& settings : **milters)
        filters_.push_back(std::make_unique<milter::Filter>(settings, policy_.macros()));
    for (const auto& filter : filters_) {
        const milter::Answer answer = co_await filter->connect(client, value);
        Verdict found = verdict(answer, about, label);
        if (found.refused())
            co_return found;
    }
    co_return Verdict();
}

Task<Verdict> SessionMilters::helo(const AccessSubject& about, std::string label)
{
    co_return co_await tell(about, std::move(label), tell_helo, std::string(about.helo));
}

Task<Verdict> SessionMilters::mail(const AccessSubject& about, std::string label)
{
    std::string sender = '<' + external_form(about.sender.value_or("")) + '>';
    if (about.size > 0)
        sender += fmt::format("\nSIZE={}", about.size);
    Verdict found = co_await tell(about, std::move(label), tell_mail, std::move(sender));
    if (found.refused())
        end_message();
    co_return found;
}

Task<Verdict> SessionMilters::rcpt(const AccessSubject& about, std::string label)
{
    std::string recipient = '<' + external_form(about.recipient.value_or("")) + '>';
    co_return co_await tell(about, std::move(label), tell_rcpt, std::move(recipient));
}

Task<Verdict> SessionMilters::data(const AccessSubject& about, std::string label)
{
    co_return co_await tell(about, std::move(label), tell_data, std::string());
}

Task<Verdict> SessionMilters::unknown(const AccessSubject& about, std::string label, std::string line)
{
    co_return co_await tell(about, std::move(label), tell_unknown, std::move(line));
}

void SessionMilters::lend_to(MessageSink& sink)
{
    std::vector<std::string> states;
    std::vector<int> descriptors;
    lent_.clear();
    for (const auto& filter : filters_) {
        if (!filter->wants_message())
            continue;
        states.push_back(filter->exported());
        descriptors.push_back(filter->fd());
        lent_.push_back(filter.get());
    }
    if (!lent_.empty())
        sink.lend_milters(states, std::move(descriptors));
}

void SessionMilters::take_back(std::string_view states)
{
    for (std::size_t i = 0; i < lent_.size(); ++i)
        if (i < states.size() && states[i] == '+')
            lent_[i]->message_was_finished();
        else
            lent_[i]->break_off();
    lent_.clear();
}

// A message that broke off while cleanup had the connections leaves them in any state.
void SessionMilters::end_message()
{
    take_back({});
    for (const auto& filter : filters_)
        filter->end_message();
}

} // namespace bulkhead
