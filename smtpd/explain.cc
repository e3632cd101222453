// -E: what the server would say to a client about a sender and a recipient, and which rule of
// which list decided.  Nobody else is asked: rules that need the DNS, a policy server or a probe
// are named and passed over.
#include "smtpd.h"

#include "dns/resolver.h"
#include "ipc/explain.h"
#include "routing/open.h"

#include <array>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

// An address that nobody trusts: for a login from somewhere.
constexpr std::string_view some_address = "192.0.2.1"; // RFC 5737

Peer stranger(std::string_view address)
{
    Peer peer;
    peer.address = address.empty() ? some_address : address;
    peer.v6 = peer.address.find(':') != std::string::npos;
    peer.network = true;
    return peer;
}

void add_actions(ipc::Message& answer, const MessageActions& actions)
{
    if (actions.hold)
        answer.add("action", "HOLD");
    if (actions.discard)
        answer.add("action", "DISCARD");
    if (!actions.redirect.empty())
        answer.add("action", "REDIRECT " + actions.redirect);
    for (const std::string& copy : actions.bcc)
        answer.add("action", "BCC " + copy);
    for (const std::string& line : actions.prepend)
        answer.add("action", "PREPEND " + line);
    if (!actions.filter.empty())
        answer.add("filter", actions.filter);
}

} // namespace

Task<ipc::Message> Smtpd::explain(const ipc::Message& question)
{
    const std::string client(question.find("client").value_or(""));
    const std::string login(question.find("login").value_or(""));
    const std::string sender(question.find("sender").value_or(""));
    const std::string recipient(question.find("recipient").value_or(""));
    const Peer peer = stranger(client);

    struct Stage {
        Step step;
        std::string_view name;
    };
    static constexpr std::array<Stage, 4> stages = {{
        {Step::connect, "CONNECT"},
        {Step::helo, "EHLO"},
        {Step::mail, "MAIL"},
        {Step::recipient, "RCPT"},
    }};
    MessageActions actions;
    Verdict verdict;
    std::string_view at;
    for (const Stage& stage : stages) {
        AccessSubject subject(stage.name, peer);
        subject.protocol = "ESMTP";
        if (!login.empty()) {
            subject.sasl_method = "PLAIN";
            subject.sasl_username = login;
        }
        if (stage.step == Step::mail || stage.step == Step::recipient)
            subject.sender = sender;
        if (stage.step == Step::recipient)
            subject.recipient = recipient;
        subject.actions = &actions;
        at = stage.name;
        verdict = co_await policy_->check(stage.step, subject);
        if (verdict.refused())
            break;
    }
    ipc::Message answer(ipc::Kind::ok);
    answer.add("client", peer.address);
    if (verdict.refused())
        answer.add("stage", at).add("reply", verdict.reply().summary());
    add_actions(answer, actions);
    if (actions.filter.empty() && !params_.content_filter().empty())
        answer.add("filter", params_.content_filter());
    answer.add("cleanup_flags", std::int64_t{service_->cleanup_flags});
    co_return answer;
}

} // namespace bulkhead
