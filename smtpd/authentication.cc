// AUTH (RFC 4954): one exchange between the client and the service that checks logins.
// What they say to each other is never logged.
#include "session.h"

#include "login.h"
#include "server_sasl.h"

#include "base/text.h"
#include "ipc/anvil.h"
#include "log/log.h"
#include "sasl/base64.h"
#include "tls/facts.h"

#include <algorithm>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr int failure_limit = 10;           // logins that fail, in one session
constexpr int least_response_limit = 12288; // RFC 4954, section 4

} // namespace

// Log lines and headers name a login; what it says of itself cannot break out of them.
std::string shown_login(std::string_view user)
{
    std::string text = printable(user, true);
    std::ranges::replace_if(text, [](char c) { return c == '(' || c == ')' || c == '\\'; }, '?');
    return text;
}

std::string_view without_secrets(std::string_view input)
{
    for (std::size_t at = 0; at < input.size();) {
        if (starts_with_ignoring_case(input.substr(at), "AUTH"))
            return input.substr(0, at);
        const auto end = input.find('\n', at);
        at = end == input.npos ? input.size() : end + 1;
    }
    return input;
}

bool SmtpSession::is_encryption_missing() const
{
    return service_.params.tls.auth_only() && !tls_;
}

// The mechanisms for EHLO, blanks between them; empty: AUTH is not offered.
Task<std::string> SmtpSession::auth_offer()
{
    std::string text;
    if (service_.standalone || !service_.sasl || !service_.sasl->is_enabled() || is_encryption_missing())
        co_return text;
    const bool offered = co_await service_.sasl->is_offered_to(peer_.address);
    if (!offered)
        co_return text;
    const auto names = co_await service_.sasl->mechanisms(tls_ != nullptr);
    for (const std::string& name : names)
        text += (text.empty() ? "" : " ") + name;
    co_return text;
}

Task<Reply> SmtpSession::auth(std::string_view arguments)
{
    bool offered = !service_.standalone && service_.sasl && service_.sasl->is_enabled();
    if (offered)
        offered = co_await service_.sasl->is_offered_to(peer_.address);
    if (!offered)
        co_return Reply(503, "5.5.1", "Error: authentication not enabled");
    if (helo_.empty())
        co_return Reply(503, "5.5.1", "Error: send HELO/EHLO first");
    if (is_encryption_missing())
        co_return Reply(538, "5.7.0", "Encryption required for requested authentication mechanism");
    if (login_)
        co_return Reply(503, "5.5.1", "Error: already authenticated");
    if (transaction_)
        co_return Reply(503, "5.5.1", "Error: MAIL transaction in progress");
    const std::vector<std::string_view> words = split(arguments, " \t");
    if (words.empty() || words.size() > 2)
        co_return Reply(501, "5.5.4", "Syntax: AUTH mechanism");

    const bool too_many = co_await does_too_much(ipc::ClientEvent::auth);
    if (too_many)
        co_return turned_away("AUTH commands");
    const auto names = co_await service_.sasl->mechanisms(tls_ != nullptr);
    const std::string method = sasl::upper(words[0].substr(0, 64));
    if (names.empty())
        co_return login_broken(method, {}, "no authentication service");
    if (std::ranges::find(names, method) == names.end())
        co_return login_failed(method, {}, "Invalid authentication mechanism");
    std::optional<std::string> response;
    if (words.size() == 2) {
        // "=" is an initial response without bytes.
        response = words[1] == "=" ? std::string() : sasl::decode_base64(words[1]);
        if (!response)
            co_return login_failed(method, {}, "Invalid base64 data in initial response");
    }
    sasl::AuthRequest request;
    request.mechanism = method;
    request.data = std::move(response);
    request.service = service_.sasl->params().service();
    request.local_address = peer_.server_address;
    request.local_port = peer_.server_port;
    request.remote_address = peer_.address;
    request.remote_port = peer_.port;
    request.secured = tls_ != nullptr;
    request.valid_client_certificate = tls_ && tls_->trusted;
    co_return co_await log_in(std::move(request));
}

// From the first answer of the service to the last reply.
Task<Reply> SmtpSession::log_in(sasl::AuthRequest request)
{
    using Kind = sasl::AuthAnswer::Kind;
    sasl::AuthClient& service = service_.sasl->service();
    const std::string method = request.mechanism;
    auto answer = co_await service.begin(std::move(request));
    while (answer && answer->kind == Kind::go_on) {
        const std::uint32_t id = answer->id;
        write(Reply(334, sasl::encode_base64(answer->data)));
        Reply refusal;
        const auto response = co_await read_response(method, refusal);
        if (!response) {
            service.cancel(id);
            co_return refusal;
        }
        std::string bytes = *response;
        answer = co_await service.go_on(id, std::move(bytes));
    }
    if (!answer)
        co_return login_broken(method, {}, answer.error().context);
    if (answer->kind == Kind::fail && answer->temporary)
        co_return login_broken(method, answer->user, answer->reason);
    if (answer->kind == Kind::fail || answer->user.empty())
        co_return login_failed(method, answer->user, answer->reason);
    login_ = std::make_unique<Login>();
    login_->method = method;
    login_->user = answer->user;
    co_return Reply(235, "2.7.0", "Authentication successful");
}

// The client's answer to a challenge; nullopt: refusal is the reply, or nobody is there.
Task<std::optional<std::string>> SmtpSession::read_response(const std::string& method, Reply& refusal)
{
    begin_wait();
    const int limit = std::max(service_.sasl->params().response_limit(), least_response_limit);
    const auto line = co_await stream_.read_line(static_cast<std::size_t>(limit));
    if (!line) {
        end_with(line.error());
        refusal = Reply();
        co_return std::nullopt;
    }
    if (!line->complete) {
        log::warn(fmt::format("{}: SASL {} authentication aborted", label(), method));
        refusal = Reply(500, "5.5.6", "Error: authentication response is too long");
        co_return std::nullopt;
    }
    if (line->text == "*") {
        log::warn(fmt::format("{}: SASL {} authentication aborted", label(), method));
        refusal = Reply(501, "5.7.0", "Authentication aborted");
        co_return std::nullopt;
    }
    auto bytes = sasl::decode_base64(line->text);
    if (!bytes)
        refusal = login_failed(method, {}, "Invalid base64 data in continued response");
    co_return bytes;
}

// What fail2ban and its like read: compat/log-format.md, section 4.
void SmtpSession::log_failed_login(std::string_view method, std::string_view user,
                                   std::string_view reason) const
{
    log::warn(fmt::format("{}: SASL {} authentication failed: {}, sasl_username={}", label(),
                          printable(method), reason, user.empty() ? "(unavailable)" : shown_login(user)));
}

Reply SmtpSession::login_failed(std::string_view method, std::string_view user, std::string_view reason)
{
    const std::string why = reason.empty() ? "(reason unavailable)" : printable(reason, true);
    log_failed_login(method, user, why);
    if (++failed_logins_ >= failure_limit) {
        closing_ = true;
        return Reply(421, "4.7.0", service_.myhostname + " Error: too many failed logins");
    }
    return Reply(535, "5.7.8", "Error: authentication failed: " + why);
}

// The service could not say: the client may try again later.
Reply SmtpSession::login_broken(std::string_view method, std::string_view user, std::string_view reason)
{
    const std::string why = reason.empty() ? "(reason unavailable)" : printable(reason, true);
    log_failed_login(method, user, why);
    return Reply(454, "4.7.0", "Temporary authentication failure: " + why);
}

} // namespace bulkhead
