#include "route_finder.h"

#include "config/rate.h"
#include "ipc/explain.h"
#include "mail/address.h"
#include "routing/open.h"
#include "table/decision.h"
#include "worker_question.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

using ipc::AddressClass;

std::string_view class_name(AddressClass address_class)
{
    static constexpr std::array<std::string_view, 6> names = {"local", "virtual alias", "virtual mailbox",
                                                              "relay", "other",         "error"};
    return names[static_cast<std::size_t>(address_class)];
}

// What decides while it lives, into a step.
class Listening
{
public:
    explicit Listening(RouteStep& step)
    {
        listen_to_decisions([&step](const Decision& one) {
            step.because.push_back({std::string(one.parameter), std::string(one.table), std::string(one.key),
                                    std::string(one.value)});
        });
    }
    ~Listening() { listen_to_decisions({}); }
    Listening(const Listening&) = delete;
};

// Adds the attributes of an answer to the step, by other names.
struct Shown {
    std::string_view attribute;
    std::string_view fact;
};
void add_facts(RouteStep& step, const ipc::Message& answer, std::span<const Shown> rows)
{
    auto walk = answer.walk();
    while (const auto attribute = walk.next()) {
        if (attribute->name == "because")
            break;
        const auto row = std::ranges::find(rows, attribute->name, &Shown::attribute);
        if (row != rows.end())
            step.add(std::string(row->fact), std::string(attribute->value));
    }
}

class Finder
{
public:
    Finder(const EnvironmentConfig& environment, const RouteQuestion& question)
        : environment_(environment), question_(question), sender_(question.sender)
    {
        report_.environment = environment.name;
        report_.directory = environment.config_directory;
        report_.sender = external_form(question.sender);
        report_.recipient = external_form(question.recipient);
        recipients_.push_back(question.recipient);
    }

    Result<RouteReport> find()
    {
        TRY_VOID(ask_server());
        TRY_VOID(rewrite());
        TRY(const auto rewriting, LocalRewriting::open(environment_.config_directory));
        for (const std::string& recipient : recipients_)
            TRY_VOID(deliver(*rewriting, recipient));
        return std::move(report_);
    }

private:
    Result<> ask_server();
    Result<> rewrite();
    Result<> deliver(ipc::RewriteSource& rewriting, const std::string& recipient);
    Result<> begin_delivery(RouteStep& step, const ServiceEntry& service, const std::string& nexthop);
    void add_limits(RouteStep& step, const std::string& transport);
    void add_limit(RouteStep& step, const std::string& transport, std::string_view suffix,
                   std::string_view fact);
    const ServiceEntry* server() const;
    void waits(std::string reason);

    const EnvironmentConfig& environment_;
    const RouteQuestion& question_;
    RouteReport report_;
    std::string sender_;
    std::vector<std::string> recipients_;
    std::string filter_;
    std::optional<std::int64_t> cleanup_flags_;
};

void Finder::waits(std::string reason)
{
    if (report_.problem.empty())
        report_.problem = std::move(reason);
}

const ServiceEntry* Finder::server() const
{
    const auto& services = environment_.master.services;
    const auto found = std::ranges::find_if(services, [&](const ServiceEntry& one) {
        return question_.service.empty() ? one.command == "smtpd" && one.type == ServiceType::inet
                                         : one.name == question_.service && one.command == "smtpd";
    });
    return found == services.end() ? nullptr : &*found;
}

// Local submission meets no restrictions.
Result<> Finder::ask_server()
{
    RouteStep step{"relay permission", {}, {}};
    if (!question_.client && !question_.login) {
        step.add("result", "permit");
        step.add("service", "local submission");
        if (filter_ = environment_.config.get("content_filter"); !filter_.empty())
            step.because.push_back({"content_filter", "", "", filter_});
        report_.steps.push_back(std::move(step));
        return {};
    }
    const ServiceEntry* service = server();
    if (service == nullptr)
        return Error{Fault::not_found, fmt::format("{}: no service {} that runs smtpd", environment_.name,
                                                   question_.service.empty() ? "" : question_.service)};
    ipc::Message question(ipc::Kind::ok);
    question.add("client", question_.client.value_or(""))
        .add("login", question_.login.value_or(""))
        .add("sender", question_.sender)
        .add("recipient", question_.recipient);
    TRY(const ipc::Message answer, ask_worker(environment_, *service, question));
    const auto reply = answer.find("reply");
    step.add("result", !reply ? "permit" : reply->starts_with('4') ? "defer" : "reject");
    step.add("service", service->name);
    static constexpr std::array<Shown, 5> rows = {{{"client", "client"},
                                                   {"stage", "refused at"},
                                                   {"reply", "reply"},
                                                   {"action", "action"},
                                                   {"filter", "content filter"}}};
    add_facts(step, answer, rows);
    // Where mail goes is another step's matter; what a domain is, decides here too.
    for (ipc::Because& one : ipc::decisions_of(answer))
        if (!one.parameter.ends_with("transport") && !one.parameter.ends_with("transport_maps") &&
            !one.parameter.ends_with("relayhost") && one.parameter != "sender_dependent_relayhost_maps")
            step.because.push_back(std::move(one));
    if (reply && reply->starts_with('4'))
        waits(std::string(*reply));
    filter_ = answer.find("filter").value_or("");
    if (const auto flags = answer.number("cleanup_flags"))
        cleanup_flags_ = *flags;
    report_.steps.push_back(std::move(step));
    return {};
}

Result<> Finder::rewrite()
{
    const ServiceEntry* service = environment_.master.find("cleanup", ServiceType::unix_stream);
    if (service == nullptr)
        return Error{Fault::not_found, fmt::format("{}: there is no service cleanup", environment_.name)};
    ipc::Message question(ipc::Kind::ok);
    question.add("sender", question_.sender).add("recipient", question_.recipient);
    if (cleanup_flags_)
        question.add("flags", *cleanup_flags_);
    TRY(const ipc::Message answer, ask_worker(environment_, *service, question));
    RouteStep step{"rewriting", {}, ipc::decisions_of(answer)};
    sender_ = answer.find("sender").value_or("");
    step.add("sender", external_form(sender_));
    recipients_.clear();
    auto walk = answer.walk();
    while (const auto attribute = walk.next())
        if (attribute->name == "recipient")
            recipients_.emplace_back(attribute->value);
    std::string all;
    for (const std::string& recipient : recipients_)
        all += (all.empty() ? "" : ", ") + external_form(recipient);
    step.add("recipients", all);
    if (const auto problem = answer.find("problem"))
        waits(std::string(*problem));
    report_.steps.push_back(std::move(step));
    return {};
}

Result<> Finder::deliver(ipc::RewriteSource& rewriting, const std::string& recipient)
{
    RouteStep step{"delivery", {}, {}};
    step.add("recipient", external_form(recipient));
    Result<ipc::Resolved> resolved = [&] {
        const Listening listening(step);
        return rewriting.resolve(sender_, recipient);
    }();
    if (!resolved) {
        waits(resolved.error().context);
        report_.steps.push_back(std::move(step));
        return {};
    }
    if (!filter_.empty()) {
        const auto colon = filter_.find(':');
        resolved->transport = filter_.substr(0, colon);
        resolved->nexthop = colon == std::string::npos ? "" : filter_.substr(colon + 1);
        step.because.push_back({"content_filter", "", "", filter_});
    }
    if (resolved->recipient != recipient)
        step.add("delivered as", external_form(resolved->recipient));
    step.add("address class", std::string(class_name(resolved->address_class)));
    step.add("transport", resolved->transport);
    step.add("next hop", resolved->nexthop);
    const ServiceEntry* service = environment_.master.find(resolved->transport, ServiceType::unix_stream);
    if (service == nullptr) {
        waits(fmt::format("transport {} is not in master.cf", resolved->transport));
    } else {
        step.add("program", service->command);
        add_limits(step, resolved->transport);
        if (service->command == "smtp" || service->command == "lmtp")
            TRY_VOID(begin_delivery(step, *service, resolved->nexthop));
    }
    report_.steps.push_back(std::move(step));
    return {};
}

void Finder::add_limit(RouteStep& step, const std::string& transport, std::string_view suffix,
                       std::string_view fact)
{
    const Config& config = environment_.config;
    const std::string own = transport + std::string(suffix);
    const std::string value = config.transport_value(transport, suffix);
    step.add(std::string(fact), value);
    step.because.push_back(
        {config.has_user_setting(own) ? own : fmt::format("default{}", suffix), "", "", value});
}

void Finder::add_limits(RouteStep& step, const std::string& transport)
{
    add_limit(step, transport, "_destination_concurrency_limit", "concurrency");
    for (const auto& [suffix, fact] : {std::pair("_destination_rate_delay", "rate"),
                                       std::pair("_transport_rate_delay", "transport rate")}) {
        const auto rate = Rate::parse(environment_.config.transport_value(transport, suffix));
        if (rate && rate->is_limited())
            add_limit(step, transport, suffix, fact);
    }
    const auto held = environment_.config.get_list("defer_transports");
    if (std::ranges::find(held, transport) != held.end()) {
        step.because.push_back({"defer_transports", "", "", transport});
        waits(fmt::format("defer_transports names {}", transport));
    }
}

Result<> Finder::begin_delivery(RouteStep& step, const ServiceEntry& service, const std::string& nexthop)
{
    ipc::Message question(ipc::Kind::ok);
    question.add("sender", sender_).add("nexthop", nexthop);
    const auto answer = ask_worker(environment_, service, question);
    if (!answer && answer.error().fault != Fault::broken)
        return answer.error();
    if (!answer) {
        step.add("problem", answer.error().context);
        return {};
    }
    static constexpr std::array<Shown, 6> rows = {{{"hosts", "hosts"},
                                                   {"port", "port"},
                                                   {"source", "source address"},
                                                   {"helo", "HELO name"},
                                                   {"tls", "TLS level"},
                                                   {"login", "login"}}};
    add_facts(step, *answer, rows);
    std::ranges::move(ipc::decisions_of(*answer), std::back_inserter(step.because));
    if (answer->find("login_by_host"))
        step.because.push_back({"smtp_sasl_password_maps", "", "",
                                "the name of each mail exchanger is asked for too, before the next hop"});
    if (answer->find("tls_failed"))
        waits(std::string(answer->find("tls").value_or("")));
    if (const auto failed = answer->find("login_failed"))
        waits(std::string(*failed));
    return {};
}

} // namespace

Result<RouteReport> find_route(const EnvironmentConfig& environment, const RouteQuestion& question)
{
    return Finder(environment, question).find();
}

} // namespace bulkhead
