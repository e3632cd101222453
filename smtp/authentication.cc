// AUTH (RFC 4954), the client's side.  Nothing that belongs to a login is logged or traced.
#include "session.h"

#include "async/offload.h"
#include "base/text.h"
#include "log/log.h"
#include "sasl/base64.h"
#include "sasl/client_login.h"

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr std::string_view sending_auth = "sending AUTH";
constexpr std::size_t command_limit = 510; // RFC 5321, 4.5.3.1.4, without the line end
constexpr int challenge_limit = 10;

// The text behind the code of the only line of a 334.
std::string challenge_of(const PeerReply& reply)
{
    return reply.lines.empty() ? std::string() : std::string(trim(reply.lines.front()));
}

} // namespace

// Trace lines say that there was an answer, not which.
void SmtpSession::say_secret(std::string shown, std::string command)
{
    if (is_traced())
        log::info(fmt::format("> {}: {}***", peer_.label(), shown));
    if (transcript_)
        transcript_->said(shown + "***");
    stream_.write(shown);
    command += "\r\n";
    stream_.write(command);
}

// After EHLO: nothing to do, done, or why there is no session.
Task<std::optional<DeliveryStatus>> SmtpSession::log_in(const ClientSasl& sasl, const LoginPlan& plan)
{
    if (!plan.is_wanted() || capabilities_.auth.empty())
        co_return std::nullopt;
    const auto mechanism = sasl.choose(capabilities_.auth, protection_, !channel_binding_.empty());
    if (!mechanism) {
        log::warn(fmt::format("SASL authentication failure: No worthy mechs found at {}", peer_.label()));
        co_return no_mechanism(peer_);
    }
    sasl::ClientSecrets secrets;
    secrets.user = plan.user;
    secrets.password = plan.password;
    secrets.host = peer_.name;
    secrets.port = peer_.path.empty() ? peer_.address.port() : 0;
    secrets.channel_binding = channel_binding_;
    auto login = sasl::ClientLogin::begin(*mechanism, std::move(secrets));
    if (!login)
        co_return cannot_log_in(peer_, login.error().context);
    const Seconds time = params_.mail_timeout();
    auto failure = co_await begin_login(**login, *mechanism);
    if (failure)
        co_return failure;
    for (int steps = 0; steps < challenge_limit; ++steps) {
        const auto reply = co_await read_reply(time);
        in_step_ = reply && reply->code != 421;
        if (!reply)
            co_return broken_conversation(peer_, reply.error(), sending_auth);
        if (reply->code / 100 == 2) {
            if ((*login)->is_complete())
                co_return std::nullopt;
            in_step_ = false; // who claims to know us and cannot prove it
            co_return cannot_log_in(peer_, "the server has not proved that it knows the password");
        }
        if (reply->code != 334) {
            if (reply->permanent())
                refused_login_ = *reply;
            co_return login_refused(peer_, *reply, sasl.params().soft_bounce());
        }
        const auto challenge = sasl::decode_base64(challenge_of(*reply));
        sasl::ClientLogin& steps_of = **login;
        const auto compute = [&] {
            return challenge ? steps_of.answer(*challenge)
                             : Error(Fault::malformed, "bad base64 in challenge");
        };
        const Result<std::string> answer = co_await offload(compute);
        if (!answer) {
            const auto last = co_await cancel_login();
            (void)last;
            co_return cannot_log_in(peer_, answer.error().context);
        }
        say_secret({}, sasl::encode_base64(*answer));
    }
    in_step_ = false;
    co_return cannot_log_in(peer_, "the server does not come to an end");
}

// AUTH, with the initial response where it fits into a command.
Task<std::optional<DeliveryStatus>> SmtpSession::begin_login(sasl::ClientLogin& login, std::string mechanism)
{
    const std::string command = "AUTH " + mechanism;
    if (login.waits_for_challenge()) {
        say_secret(command, {});
        co_return std::nullopt;
    }
    const std::string none;
    const auto compute = [&] { return login.answer(none); };
    const Result<std::string> first = co_await offload(compute);
    if (!first)
        co_return cannot_log_in(peer_, first.error().context);
    const std::string text = first->empty() ? "=" : sasl::encode_base64(*first);
    if (command.size() + 1 + text.size() <= command_limit) {
        say_secret(command + ' ', text);
        co_return std::nullopt;
    }
    say_secret(command, {});
    const Seconds time = params_.mail_timeout();
    const auto reply = co_await read_reply(time);
    in_step_ = reply && reply->code != 421;
    if (!reply)
        co_return broken_conversation(peer_, reply.error(), sending_auth);
    if (reply->code != 334)
        co_return login_refused(peer_, *reply, true);
    say_secret({}, text);
    co_return std::nullopt;
}

// RFC 4954, section 4: "*", which the server answers with 501.
Task<bool> SmtpSession::cancel_login()
{
    const Seconds time = params_.mail_timeout();
    std::string star = "*";
    const auto reply = co_await ask(std::move(star), time);
    in_step_ = reply && reply->code != 421 && reply->code != 334;
    co_return in_step_;
}

} // namespace bulkhead
