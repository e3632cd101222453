#include "policy_service.h"

#include "async/connect.h"
#include "async/wait.h"
#include "base/text.h"
#include "config/values.h"
#include "dns/resolver.h"
#include "log/log.h"
#include "os/files.h"
#include "tls/facts.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr std::size_t line_limit = 8192;
constexpr int reply_lines = 100;

Error bad(std::string text)
{
    return {Fault::config, std::move(text)};
}

Result<Milliseconds> milliseconds(std::string_view text)
{
    TRY(const std::int64_t seconds, parse_seconds(text, 's'));
    if (seconds < 1 || seconds > 1'000'000)
        return bad("time out of range");
    return Milliseconds(seconds * 1000);
}

Result<> set_option(PolicyServerOptions& options, std::string_view name, std::string_view value)
{
    struct Time {
        std::string_view name;
        Milliseconds PolicyServerOptions::* member;
    };
    static constexpr std::array<Time, 4> times = {{
        {"timeout", &PolicyServerOptions::timeout},
        {"max_idle", &PolicyServerOptions::max_idle},
        {"max_ttl", &PolicyServerOptions::max_ttl},
        {"retry_delay", &PolicyServerOptions::retry_delay},
    }};
    for (const Time& row : times)
        if (name == row.name) {
            TRY(options.*row.member, milliseconds(value));
            return {};
        }
    const auto number = parse_unsigned(value);
    const bool small = number && *number <= 1'000'000;
    if (name == "request_limit" && small)
        options.request_limit = static_cast<int>(*number);
    else if (name == "try_limit" && small && *number > 0)
        options.try_limit = static_cast<int>(*number);
    else if (name == "default_action")
        options.default_action = value;
    else if (name == "policy_context")
        options.context = value;
    else
        return bad(fmt::format("bad policy server option {}={}", printable(name), printable(value)));
    return {};
}

Result<> set_endpoint(PolicyServerSpec& spec, std::string_view text)
{
    const Error wrong = bad(fmt::format("bad policy server \"{}\"", printable(text)));
    if (text.starts_with("unix:")) {
        spec.path = text.substr(5);
        return spec.path.empty() ? Result<>(wrong) : Result<>();
    }
    if (!text.starts_with("inet:"))
        return wrong;
    text.remove_prefix(5);
    const auto colon = text.rfind(':');
    if (colon == text.npos) {
        spec.host = "localhost";
    } else {
        spec.host = text.substr(0, colon);
        text.remove_prefix(colon + 1);
    }
    if (spec.host.starts_with('[') && spec.host.ends_with(']'))
        spec.host = spec.host.substr(1, spec.host.size() - 2);
    const auto port = parse_unsigned(text);
    if (!port || *port == 0 || *port > 65535 || spec.host.empty())
        return wrong;
    spec.port = static_cast<std::uint16_t>(*port);
    return {};
}

// One attribute; what came from the client cannot make a line of its own.
void add(std::string& request, std::string_view name, std::string_view value)
{
    request += name;
    request += '=';
    for (const char c : value)
        request += c == '\n' || c == '\r' || c == '\0' ? '?' : c;
    request += '\n';
}

void add_tls(std::string& request, const tls::Facts* facts)
{
    static const tls::Facts none;
    const tls::Facts& known = facts != nullptr ? *facts : none;
    add(request, "ccert_subject", known.trusted ? known.common_name : std::string());
    add(request, "ccert_issuer", known.trusted ? known.issuer : std::string());
    add(request, "ccert_fingerprint", known.certificate_fingerprint);
    add(request, "ccert_pubkey_fingerprint", known.key_fingerprint);
    add(request, "encryption_protocol", known.protocol);
    add(request, "encryption_cipher", known.cipher);
    add(request, "encryption_keysize", std::to_string(known.used_bits));
}

} // namespace

std::string PolicyServerSpec::name() const
{
    return path.empty() ? fmt::format("{}:{}", host, port) : path;
}

Result<PolicyServerSpec> parse_policy_server(std::string_view text, const PolicyServerOptions& defaults)
{
    PolicyServerSpec spec;
    spec.options = defaults;
    if (!text.starts_with('{')) {
        TRY_VOID(set_endpoint(spec, text));
        return spec;
    }
    const std::vector<std::string> words = parse_list(without_braces(text));
    if (words.empty())
        return bad("no policy server between the braces");
    TRY_VOID(set_endpoint(spec, words.front()));
    for (std::size_t i = 1; i < words.size(); ++i) {
        const std::string_view word = without_braces(words[i]);
        const auto equals = word.find('=');
        if (equals == word.npos)
            return bad(fmt::format("bad policy server option \"{}\"", printable(word)));
        TRY_VOID(set_option(spec.options, trim(word.substr(0, equals)), trim(word.substr(equals + 1))));
    }
    return spec;
}

std::string policy_request(const AccessSubject& subject, const PolicyFacts& facts)
{
    const Peer& client = subject.client;
    const bool counts = subject.stage == "DATA" || subject.stage == "END-OF-MESSAGE";
    std::string request;
    add(request, "request", "smtpd_access_policy");
    add(request, "protocol_state", subject.stage);
    add(request, "protocol_name", subject.protocol);
    add(request, "client_address", client.address);
    add(request, "client_name", client.name);
    add(request, "client_port", std::to_string(client.port));
    add(request, "reverse_client_name", client.reverse_name);
    add(request, "server_address", client.server_address);
    add(request, "server_port", std::to_string(client.server_port));
    add(request, "helo_name", subject.helo);
    add(request, "sender", subject.sender.value_or(""));
    add(request, "recipient", subject.recipient.value_or(""));
    add(request, "recipient_count", std::to_string(counts ? subject.recipients : 0));
    add(request, "queue_id", subject.queue_id);
    add(request, "instance", subject.instance);
    add(request, "size", std::to_string(subject.size));
    add(request, "etrn_domain", subject.etrn_domain);
    add(request, "stress", facts.stress);
    add(request, "sasl_method", subject.sasl_method);
    add(request, "sasl_username", subject.sasl_username);
    add(request, "sasl_sender", subject.sasl_sender);
    add_tls(request, subject.tls);
    add(request, "policy_context", facts.context);
    add(request, "compatibility_level", facts.level);
    add(request, "mail_version", facts.version);
    add(request, "tls_sni", subject.tls != nullptr ? subject.tls->server_name : std::string());
    request += '\n';
    return request;
}

Result<bool> PolicyReply::add_line(std::string_view line)
{
    if (++lines_ > reply_lines)
        return Error{Fault::limit, "an answer without an end"};
    if (line.empty()) {
        if (!has_action_)
            return Error{Fault::malformed, "an answer without action"};
        return true;
    }
    const auto equals = line.find('=');
    if (equals == line.npos)
        return Error{Fault::malformed, "a line without \"=\""};
    if (line.substr(0, equals) == "action" && !has_action_) {
        has_action_ = true;
        action_ = trim(line.substr(equals + 1));
    }
    return false;
}

Task<std::string> PolicyServer::ask(std::string request)
{
    for (int tries = 1;; ++tries) {
        auto action = co_await attempt(request);
        if (action)
            co_return *std::move(action);
        const bool last = tries >= spec_.options.try_limit;
        if (last || log::verbosity() > 0)
            log::warn(fmt::format("problem talking to server {}: {}", spec_.name(), action.error().context));
        if (last)
            co_return spec_.options.default_action;
        co_await sleep_for(spec_.options.retry_delay);
    }
}

Task<Result<std::string>> PolicyServer::attempt(const std::string& request)
{
    // The server may have closed any of the kept ones by now.
    while (!idle_.empty()) {
        Connection kept = std::move(idle_.back());
        idle_.pop_back();
        if (!is_usable(kept))
            continue;
        auto action = co_await converse(kept, request);
        if (action)
            keep(std::move(kept));
        if (action || action.error().fault != Fault::closed)
            co_return action;
    }
    CO_TRY(Connection fresh, co_await connect());
    auto action = co_await converse(fresh, request);
    if (action)
        keep(std::move(fresh));
    co_return action;
}

bool PolicyServer::is_usable(const Connection& connection) const
{
    const SteadyTime now = SteadyClock::now();
    const PolicyServerOptions& options = spec_.options;
    return now - connection.used < options.max_idle && now - connection.made < options.max_ttl &&
           !connection.stream->peer_closed() && connection.stream->buffered().empty();
}

void PolicyServer::keep(Connection connection)
{
    const int limit = spec_.options.request_limit;
    if ((limit > 0 && connection.requests >= limit) || idle_.size() >= most_kept)
        return;
    connection.used = SteadyClock::now();
    idle_.push_back(std::move(connection));
}

Task<Result<UniqueFd>> PolicyServer::connect_inet_host()
{
    std::vector<SocketAddress> addresses;
    if (const auto numeric = SocketAddress::parse(spec_.host))
        addresses.push_back(*numeric);
    else if (resolver_ != nullptr)
        addresses = resolver_->hosts().find(spec_.host);
    else if (spec_.host == "localhost")
        addresses.push_back(*SocketAddress::parse("127.0.0.1"));
    if (addresses.empty() && resolver_ != nullptr) {
        auto answer = co_await resolver_->a(spec_.host);
        addresses = std::move(answer.records);
    }
    Error error(Fault::not_found, fmt::format("host {} not found", spec_.host));
    for (const SocketAddress& address : addresses) {
        const SocketAddress to = address.with_port(spec_.port);
        auto fd = co_await connect_inet(to, std::nullopt, spec_.options.timeout);
        if (fd)
            co_return fd;
        error = fd.error();
    }
    co_return error;
}

Task<Result<UniqueFd>> PolicyServer::dial()
{
    if (spec_.path.empty())
        co_return co_await connect_inet_host();
    co_return connect_unix(spec_.path);
}

Task<Result<PolicyServer::Connection>> PolicyServer::connect()
{
    Connection connection;
    CO_TRY(UniqueFd fd, co_await dial());
    connection.stream = std::make_unique<Stream>(std::move(fd));
    connection.stream->set_timeout(spec_.options.timeout);
    connection.made = connection.used = SteadyClock::now();
    co_return connection;
}

Task<Result<std::string>> PolicyServer::converse(Connection& connection, const std::string& request)
{
    Stream& stream = *connection.stream;
    stream.set_deadline(SteadyClock::now() + spec_.options.timeout);
    ++connection.requests;
    stream.write(request);
    CO_TRY_VOID(co_await stream.flush());
    PolicyReply reply;
    for (;;) {
        CO_TRY(const Line line, co_await stream.read_line(line_limit));
        if (!line.complete)
            co_return Error(Fault::limit, "a line of an answer is too long");
        CO_TRY(const bool complete, reply.add_line(line.text));
        if (complete)
            break;
    }
    stream.clear_deadline();
    co_return reply.action();
}

} // namespace bulkhead
