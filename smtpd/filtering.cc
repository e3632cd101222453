// Where in the dialogue mail filters are asked: behind our own checks of each command.
#include "session.h"

#include "milters.h"

#include "base/text.h"

namespace bulkhead
{

// A refusal at CONNECT or HELO that is no 421 and at CONNECT no 5xx is for the mail that
// follows: the filter repeats it at MAIL.
Task<Verdict> SmtpSession::ask_milters(Step step, const AccessSubject& about)
{
    if (about.stage == "VRFY" || about.stage == "ETRN")
        co_return Verdict();
    Verdict verdict;
    if (step == Step::connect) {
        milters_ = std::make_unique<SessionMilters>(*service_.milters, service_.myhostname);
        verdict = co_await milters_->connect(about, label());
        if (verdict.refused() && verdict.reply().code < 500 && verdict.reply().code != 421)
            co_return Verdict();
    } else if (step == Step::helo) {
        verdict = co_await milters_->helo(about, label());
        if (verdict.refused() && verdict.reply().code != 421)
            co_return Verdict();
    } else if (step == Step::mail) {
        verdict = co_await milters_->mail(about, label());
    } else if (step == Step::recipient) {
        verdict = co_await milters_->rcpt(about, label());
    } else if (step == Step::data) {
        verdict = co_await milters_->data(about, label());
    }
    refused_by_milter_ = verdict.refused();
    if (verdict.refused() && verdict.reply().code == 421)
        closing_ = true;
    co_return verdict;
}

Reply SmtpSession::milter_reply(const ipc::CleanupResult& result)
{
    Reply reply(result.code, result.dsn, std::string());
    reply.lines.clear();
    for (const std::string_view line : split(result.reason, "\n"))
        reply.lines.emplace_back(line);
    if (reply.lines.empty())
        reply.lines.emplace_back("Service unavailable");
    closing_ = closing_ || reply.code == 421;
    return reply;
}

} // namespace bulkhead
