// Restrictions that look at no name: permit, reject, sleep, policy servers, what modifies
// the rules behind them.
#include "restrictions.h"

#include "policy.h"
#include "policy_service.h"

#include "async/wait.h"

#include <fmt/format.h>

namespace bulkhead
{

Task<Verdict> AccessCheck::permit(const Rule&)
{
    co_return Verdict::permit();
}

Task<Verdict> AccessCheck::reject(const Rule&)
{
    co_return generic(policy_.params().reject_code(), "5.7.1", "Access denied");
}

Task<Verdict> AccessCheck::defer(const Rule&)
{
    co_return generic(policy_.params().defer_code(), "4.7.1", "Try again later");
}

Task<Verdict> AccessCheck::defer_if_permit(const Rule&)
{
    const Verdict verdict = generic(policy_.params().defer_code(), "4.7.0", "defer_if_permit requested");
    if (!warns_ && !defer_if_permit_)
        defer_if_permit_ = verdict.reply();
    co_return Verdict();
}

Task<Verdict> AccessCheck::defer_if_reject(const Rule&)
{
    const Verdict verdict = generic(policy_.params().defer_code(), "4.7.0", "defer_if_reject requested");
    if (!warns_ && !defer_if_reject_)
        defer_if_reject_ = verdict.reply();
    co_return Verdict();
}

Task<Verdict> AccessCheck::warn_if_reject(const Rule&)
{
    warn_next_ = true;
    co_return Verdict();
}

Task<Verdict> AccessCheck::pause(const Rule& rule)
{
    co_await sleep_for(Milliseconds(rule.seconds * 1000));
    co_return Verdict();
}

Task<Verdict> AccessCheck::reject_plaintext_session(const Rule&)
{
    if (subject_.tls != nullptr)
        co_return Verdict();
    co_return refusal(policy_.params().plaintext_code(), "5.7.1", "Session encryption is required");
}

Task<Verdict> AccessCheck::reject_unauth_pipelining(const Rule&)
{
    if (!subject_.broke_pipelining)
        co_return Verdict();
    co_return generic(503, "5.5.0", "Improper use of SMTP command pipelining");
}

Task<Verdict> AccessCheck::check_policy_service(const Rule& rule)
{
    PolicyServer& server = *rule.server;
    const SmtpdParams& params = policy_.params();
    const PolicyFacts facts{server.spec().options.context, params.stress(), params.level(),
                            policy_.version()};
    std::string request = policy_request(subject_, facts);
    const std::string answer = co_await server.ask(std::move(request));
    AccessAction action = parse_access_action(answer);
    const std::string source = "policy server " + server.spec().name();
    co_return co_await act(std::move(action), list_part(), source);
}

} // namespace bulkhead
