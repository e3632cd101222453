#include "session.h"

#include "base/text.h"
#include "log/log.h"
#include "table/ask.h"

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr std::size_t reply_line_limit = 2048;

} // namespace

SmtpSession::SmtpSession(UniqueFd fd, Peer peer, const SmtpParams& params)
    : stream_(std::move(fd)), peer_(std::move(peer)), params_(params), opened_(SteadyClock::now())
{
    habits_.discarded = params.discard_ehlo_keywords();
}

bool SmtpSession::is_traced() const
{
    return trace_level_ > 0 || log::verbosity() > 0;
}

void SmtpSession::say(std::string command)
{
    if (is_traced())
        log::info(fmt::format("> {}: {}", peer_.label(), command));
    if (transcript_)
        transcript_->said(command);
    command += "\r\n";
    stream_.write(command);
}

// The whole reply must be there in time, however slowly its lines come.
Task<Result<PeerReply>> SmtpSession::read_reply(Seconds time)
{
    stream_.set_deadline(SteadyClock::now() + time);
    for (;;) {
        const auto line = co_await stream_.read_line(reply_line_limit);
        if (!line)
            co_return line.error();
        if (is_traced())
            log::info(fmt::format("< {}: {}", peer_.label(),
                                  line->text.starts_with("334") ? "334 ***" : printable(line->text)));
        std::string text(line->text);
        if (transcript_)
            transcript_->heard(text);
        if (habits_.replies)
            text = co_await filtered(std::move(text));
        const auto complete = parser_.add_line(text);
        if (!complete) {
            errors_.add(ErrorClass::protocol);
            co_return complete.error();
        }
        if (!*complete)
            continue;
        PeerReply reply = parser_.take();
        judge_reply(reply);
        co_return reply;
    }
}

// Before EHLO is through, a server that does not know it is no news.
void SmtpSession::judge_reply(const PeerReply& reply)
{
    if (reply.code >= 500 && reply.code <= 504 && !capabilities_.host.empty())
        errors_.add(ErrorClass::protocol);
    if (reply.code == 452 || reply.dsn.ends_with(".3.1"))
        errors_.add(ErrorClass::resource);
}

// smtp_reply_filter: what the table has instead of this line.
Task<std::string> SmtpSession::filtered(std::string line)
{
    TableList& tables = *habits_.replies;
    const auto look_up = [&] { return tables.find(line); };
    const Lookup found = co_await bulkhead::ask(tables.may_block(), look_up);
    if (found.is_broken())
        log::warn(fmt::format("{}: {}", params_.reply_filter.name(), found.reason()));
    co_return found.is_found() ? found.value() : line;
}

Task<Result<PeerReply>> SmtpSession::ask(std::string command, Seconds time)
{
    say(std::move(command));
    co_return co_await read_reply(time);
}

// The order of RFC 3207: greeting, EHLO, STARTTLS, and EHLO again, for what was offered in
// clear is forgotten.
Task<std::optional<DeliveryStatus>> SmtpSession::open(ClientTls* tls, TlsPlan plan)
{
    const bool wanted = tls && plan.level != tls::Level::none;
    keeps_connection_ = plan.keeps_connections;
    if (wanted)
        plan_key_ = plan.key();
    if (wanted && plan.wrapper) {
        auto failure = co_await start_tls(*tls, plan);
        if (failure)
            co_return failure;
    }
    auto failure = co_await greet();
    if (failure)
        co_return failure;
    failure = co_await introduce();
    if (failure)
        co_return failure;
    if (tls && !wanted && capabilities_.starttls && tls->params().note_offer())
        log::info(fmt::format("Host offered STARTTLS: [{}]", peer_.name));
    if (!wanted || plan.wrapper)
        co_return std::nullopt;
    co_return co_await ask_for_tls(*tls, plan);
}

Task<std::optional<DeliveryStatus>> SmtpSession::open(ClientTls* tls, TlsPlan plan, const ClientSasl& sasl,
                                                      LoginPlan login)
{
    login_ = std::move(login);
    auto failure = co_await open(tls, std::move(plan));
    if (failure)
        co_return failure;
    co_return co_await log_in(sasl, login_);
}

Task<std::optional<DeliveryStatus>> SmtpSession::open()
{
    TlsPlan none;
    co_return co_await open(nullptr, std::move(none));
}

Task<> SmtpSession::quit()
{
    // In the middle of something, or with nobody there, closing says it all.
    if (!is_reusable())
        co_return;
    in_step_ = false;
    const Seconds time = params_.quit_timeout();
    if (!params_.skip_quit_response()) {
        (void)co_await ask("QUIT", time);
        co_return;
    }
    say("QUIT");
    stream_.set_deadline(SteadyClock::now() + time);
    (void)co_await stream_.flush();
}

} // namespace bulkhead
