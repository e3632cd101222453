// How a connection begins: the greeting, EHLO or what there is of it, and STARTTLS.
#include "session.h"

#include "base/text.h"
#include "dialogue.h"
#include "log/log.h"

#include <algorithm>

#include <fmt/format.h>

namespace bulkhead
{

using ipc::DeliveryOutcome;
using namespace dialogue;

Task<std::optional<DeliveryStatus>> SmtpSession::greet()
{
    const Seconds time = params_.helo_timeout();
    const auto greeting = co_await read_reply(time);
    if (!greeting)
        co_return broken_conversation(peer_, greeting.error(), receiving_greeting);
    in_step_ = greeting->code != service_closing;
    if (!is_yes(*greeting)) {
        DeliveryStatus status = refused_session(peer_, *greeting);
        if (params_.skip_5xx_greeting())
            status.outcome = DeliveryOutcome::deferred;
        co_return status;
    }
    speaks_esmtp_ = greeting->text.find("ESMTP") != std::string::npos;
    look_for_pix(*greeting);
    co_return std::nullopt;
}

// A PIX firewall in front of a server hides the greeting behind stars, and loses an end mark
// that arrives in pieces.
void SmtpSession::look_for_pix(const PeerReply& greeting)
{
    const auto is_hidden = [](char c) { return c == '*' || c == '0' || c == '2' || c == ' '; };
    const bool is_pix = greeting.text.find("**") != std::string::npos &&
                        std::ranges::all_of(std::string_view(greeting.text).substr(3), is_hidden);
    if (!is_pix || !habits_.may_be_pix || habits_.pix_workarounds.empty())
        return;
    std::string names;
    for (const std::string& name : habits_.pix_workarounds) {
        if (name == "disable_esmtp")
            speaks_helo_only_ = true;
        else if (name == "delay_dotcrlf")
            delays_end_ = true;
        else
            continue;
        names += names.empty() ? name : " " + name;
    }
    log::info(fmt::format("enabling PIX workarounds: {} for {}", names, peer_.relay()));
}

// EHLO, or HELO where that is all there is.
Task<std::optional<DeliveryStatus>> SmtpSession::introduce()
{
    if (params_.is_lmtp())
        co_return co_await introduce_with("LHLO ", performing_lhlo);
    const Seconds time = params_.helo_timeout();
    const bool extended =
        !speaks_helo_only_ && !params_.never_ehlo() && (params_.always_ehlo() || speaks_esmtp_);
    if (extended) {
        std::string ehlo = "EHLO " + params_.helo_name();
        const auto reply = co_await ask(std::move(ehlo), time);
        in_step_ = reply && reply->code != service_closing;
        if (!reply)
            co_return broken_conversation(peer_, reply.error(), performing_ehlo);
        if (is_yes(*reply)) {
            capabilities_ = parse_capabilities(*reply, habits_.discarded);
            co_return std::nullopt;
        }
        if (!reply->permanent())
            co_return refused_session(peer_, *reply);
    }
    std::string helo = "HELO " + params_.helo_name();
    const auto reply = co_await ask(std::move(helo), time);
    in_step_ = reply && reply->code != service_closing;
    if (!reply)
        co_return broken_conversation(peer_, reply.error(), performing_helo);
    if (!is_yes(*reply))
        co_return refused_session(peer_, *reply);
    capabilities_.host =
        printable(reply->lines.empty() ? "" : reply->lines[0].substr(0, reply->lines[0].find(' ')));
    co_return std::nullopt;
}

Task<std::optional<DeliveryStatus>> SmtpSession::introduce_with(std::string verb, std::string_view doing)
{
    std::string command = std::move(verb) + params_.helo_name();
    const auto reply = co_await ask(std::move(command), params_.helo_timeout());
    in_step_ = reply && reply->code != service_closing;
    if (!reply)
        co_return broken_conversation(peer_, reply.error(), doing);
    if (!is_yes(*reply))
        co_return refused_session(peer_, *reply);
    capabilities_ = parse_capabilities(*reply, habits_.discarded);
    co_return std::nullopt;
}

Task<std::optional<DeliveryStatus>> SmtpSession::ask_for_tls(ClientTls& tls, const TlsPlan& plan)
{
    const bool mandatory = tls::is_mandatory(plan.level);
    if (!capabilities_.starttls) {
        if (mandatory)
            co_return tls_not_offered(peer_);
        co_return std::nullopt;
    }
    const auto reply = co_await ask("STARTTLS", tls.params().starttls_timeout());
    in_step_ = reply && reply->code != service_closing;
    if (!reply)
        co_return broken_conversation(peer_, reply.error(), sending_starttls);
    if (!is_yes(*reply)) {
        if (mandatory || !in_step_)
            co_return tls_refused(peer_, *reply);
        co_return std::nullopt;
    }
    auto failure = co_await start_tls(tls, plan);
    if (failure)
        co_return failure;
    capabilities_ = Capabilities();
    co_return co_await introduce();
}

// Replies that came in front of the handshake are dropped by the stream: nobody has asked
// for them.
Task<std::optional<DeliveryStatus>> SmtpSession::start_tls(ClientTls& tls, const TlsPlan& plan)
{
    in_step_ = false;
    stream_.set_deadline(SteadyClock::now() + tls.params().starttls_timeout());
    auto made = tls.connect(stream_.fd(), plan);
    if (!made) {
        log::warn(fmt::format("TLS to {}: {}", peer_.relay(), made.error().context));
        co_return tls_handshake_failed(peer_);
    }
    const tls::Connection& connection = **made;
    stream_.upgrade(*std::move(made));
    const auto shaken = co_await stream_.handshake();
    if (!shaken) {
        handshake_failed_ = true;
        ClientTls::log_failure(peer_, shaken.error());
        co_return tls_handshake_failed(peer_);
    }
    auto failure = tls.judge(plan, peer_, connection);
    protection_ = tls::is_verified(plan.level) ? Protection::verified_tls : Protection::tls;
    if (connection.facts().protocol == "TLSv1.3")
        channel_binding_ = connection.exported("EXPORTER-Channel-Binding", 32);
    in_step_ = !plan.wrapper;
    co_return failure;
}

} // namespace bulkhead
