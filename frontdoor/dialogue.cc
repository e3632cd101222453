#include "dialogue.h"

#include "login_name.h"

#include "async/wait.h"
#include "base/text.h"
#include "log/log.h"
#include "mail/dsn.h"
#include "sasl/base64.h"
#include "sasl/mechanism.h"
#include "table/ask.h"

#include <algorithm>
#include <array>
#include <cstring>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr Milliseconds farewell_time{10'000};
constexpr unsigned commands_per_turn = 64;
constexpr std::size_t most_claims = 2; // with EHLO and MAIL no more than ipc::max_answered

void wipe(std::string& text)
{
    text.resize(text.capacity());
    ::explicit_bzero(text.data(), text.size());
    text.clear();
}

} // namespace

Task<> Dialogue::run()
{
    co_await begin();
    for (unsigned commands = 1; !closing_; ++commands) {
        if (errors_ >= service_.params.hard_errors()) {
            log::info(fmt::format("too many errors after {} from {}", where_, label()));
            say(Reply(421, "4.7.0", service_.myhostname + " Error: too many errors"));
            break;
        }
        if (commands % commands_per_turn == 0)
            co_await yield_turn();
        const auto line = co_await stream_.read_line(static_cast<std::size_t>(service_.params.line_limit()));
        if (!line) {
            end_with(line.error());
            break;
        }
        if (!line->complete) {
            ++errors_;
            say(Reply(500, "5.5.2", "Error: line too long"));
            continue;
        }
        std::string text(line->text);
        co_await obey(std::move(text));
    }
    if (!given_to_.empty())
        co_await stay_behind();
    if (!gone_) {
        stream_.set_timeout(farewell_time);
        (void)co_await stream_.flush();
        stream_.close(); // also for one who would take it too late
        log::info("disconnect from " + label());
    }
    co_await end_counting();
}

// "unknown[192.0.2.1]": a name is looked up by the environment, if at all.
std::string Dialogue::label() const
{
    return fmt::format("unknown[{}]", state_.client_address);
}

void Dialogue::say(const Reply& reply)
{
    if (reply.code == 421 || reply.code == 521)
        closing_ = true;
    reply.append_wire(stream_.output());
}

void Dialogue::end_with(const Error& error)
{
    if (closing_)
        return;
    closing_ = true;
    if (error.fault == Fault::timeout) {
        log::info(fmt::format("timeout after {} from {}", where_, label()));
        say(Reply(421, "4.4.2", service_.myhostname + " Error: timeout exceeded"));
        return;
    }
    gone_ = true;
    if (error.fault == Fault::cancelled) {
        say(Reply(421, "4.3.2", service_.myhostname + " Service shutting down"));
        stream_.send_what_fits();
        return;
    }
    log::info(fmt::format("lost connection after {} from {}", where_, label()));
}

Task<> Dialogue::obey(std::string text)
{
    CommandLine line = split_command(text);
    if (line.verb.empty()) {
        ++errors_;
        say(Reply(500, "5.5.2", "Error: bad syntax"));
        co_return;
    }
    const bool secret = line.is("AUTH");
    std::string copy = text;
    const Reply reply = co_await answer(line, std::move(copy));
    if (secret)
        wipe(text);
    if (closing_ && reply.code == 0)
        co_return;
    if (reply.code >= 400)
        ++errors_;
    if (reply.code != 0)
        say(reply);
}

// The text is what an environment would have to hear again.
Task<Reply> Dialogue::answer(const CommandLine& line, std::string text)
{
    where_ = lower(line.verb.substr(0, 16));
    std::ranges::transform(where_, where_.begin(),
                           [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
    if (line.is("QUIT")) {
        closing_ = true;
        say(Reply(221, "2.0.0", "Bye"));
        co_return Reply();
    }
    if (line.is("HELO") || line.is("EHLO"))
        co_return hello(line, std::move(text));
    if (line.is("STARTTLS"))
        co_return co_await starttls(line.arguments);
    const bool junk = line.is("RSET") || line.is("NOOP") || line.is("VRFY") || line.is("ETRN");
    if (junk && ++junk_ > service_.params.junk_commands())
        ++errors_;
    if (line.is("NOOP"))
        co_return Reply(250, "2.0.0", "Ok");
    if (must_start_tls())
        co_return Reply(530, "5.7.0", "Must issue a STARTTLS command first");
    if (line.is("AUTH")) {
        std::string arguments(line.arguments);
        wipe(text);
        co_return co_await auth(std::move(arguments));
    }
    if (line.is("MAIL"))
        co_return co_await mail(line.arguments, std::move(text));
    if (line.is("RCPT"))
        co_return co_await rcpt(line.arguments, std::move(text));
    if (line.is("RSET")) {
        if (in_mail_)
            state_.answered.pop_back();
        in_mail_ = false;
        co_return Reply(250, "2.0.0", "Ok");
    }
    if (line.is("DATA") || line.is("BDAT"))
        co_return in_mail_ ? Reply(554, "5.5.1", "Error: no valid recipients")
                           : Reply(503, "5.5.1", "Error: need RCPT command");
    if (line.is("XCLIENT"))
        co_return co_await xclient(line.arguments, std::move(text));
    if (line.is("XFORWARD"))
        co_return Reply(550, "5.7.0", "Error: insufficient authorization");
    if (line.is("VRFY") || line.is("ETRN"))
        co_return Reply(502, "5.5.1", "Error: command not implemented");
    co_return co_await unknown(line);
}

Task<Reply> Dialogue::unknown(const CommandLine& line)
{
    const MatchList& forbidden = service_.forbidden_commands;
    const std::string verb(line.verb);
    const auto find = [&] { return static_cast<bool>(forbidden.match(verb)); };
    const bool is_forbidden = co_await ask(forbidden.may_block(), find);
    if (!is_forbidden)
        co_return Reply(500, "5.5.2", "Error: command not recognized");
    closing_ = true;
    log::warn(fmt::format("non-SMTP command from {}: {}", label(), printable(verb)));
    say(Reply(221, "2.7.0", "Error: this is a mail server"));
    co_return Reply();
}

// HELO and EHLO (RFC 5321, 4.1.1.1): a new beginning.
Reply Dialogue::hello(const CommandLine& line, std::string text)
{
    const bool extended = line.is("EHLO");
    auto name = parse_helo(extended ? "EHLO" : "HELO", line.arguments);
    if (!name)
        return name.error();
    state_.answered = claims_;
    state_.answered.push_back(std::move(text));
    in_mail_ = false;
    greeted_ = true;
    extended_ = extended;
    if (!extended)
        return Reply(250, service_.myhostname);
    auto lines = service_.offers.lines(service_.myhostname, offers_starttls(), auth_offer());
    if (may_xclient_)
        lines.emplace_back("XCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR DESTPORT");
    return Reply(250, std::move(lines));
}

// XCLIENT: a proxy tells whose session this is.  The environment judges it too: it hears all of
// these commands, from the proxy's own address.
Task<Reply> Dialogue::xclient(std::string_view arguments, std::string text)
{
    if (in_mail_)
        co_return Reply(503, "5.5.1", "Error: MAIL transaction in progress");
    if (!may_xclient_)
        co_return Reply(550, "5.7.0", "Error: insufficient authorization");
    if (claims_.size() >= most_claims)
        co_return Reply(503, "5.5.1", "Error: too many XCLIENT commands");
    struct Told {
        std::string_view name;
        Step step;
        std::vector<std::string> (*keys)(std::string_view value);
    };
    static constexpr std::array<Told, 2> told = {
        {{"ADDR=", Step::client, client_keys}, {"LOGIN=", Step::login, login_keys}}};
    for (const Told& one : told) {
        for (const std::string_view word : split(arguments, " \t")) {
            if (!starts_with_ignoring_case(word, one.name))
                continue;
            const auto value = decode_xtext(word.substr(one.name.size()), true);
            if (!value)
                co_return Reply(501, "5.5.4", "Bad XCLIENT attribute");
            const bool settled = co_await settle(one.step, one.keys(*value), Stage::reply, text);
            if (settled)
                co_return Reply();
            if (broken_)
                co_return Reply(421, "4.3.0",
                                service_.myhostname + " Error: no mail system for this client now");
        }
    }
    claims_.push_back(std::move(text));
    state_.answered = claims_;
    greeted_ = extended_ = false;
    co_return Reply(220, service_.params.banner());
}

bool Dialogue::offers_starttls() const
{
    return !stream_.is_upgraded() && (service_.tls || service_.decisions->has(Step::server_name));
}

bool Dialogue::must_start_tls() const
{
    return offers_starttls() && tls::is_mandatory(service_.params.level());
}

// Empty: AUTH is not offered.
std::string Dialogue::auth_offer() const
{
    const bool is_encryption_missing = service_.offers.auth_only && !stream_.is_upgraded();
    if (!service_.decisions->has(Step::login) || is_encryption_missing)
        return {};
    return fmt::format("{}", fmt::join(service_.params.mechanisms(), " "));
}

// AUTH (RFC 4954): the name is read out of the client's first message, with which the environment
// begins the exchange anew.
Task<Reply> Dialogue::auth(std::string arguments)
{
    if (!service_.decisions->has(Step::login))
        co_return Reply(503, "5.5.1", "Error: authentication not enabled");
    if (!greeted_)
        co_return Reply(503, "5.5.1", "Error: send HELO/EHLO first");
    if (auth_offer().empty())
        co_return Reply(538, "5.7.0", "Encryption required for requested authentication mechanism");
    if (in_mail_)
        co_return Reply(503, "5.5.1", "Error: MAIL transaction in progress");
    const auto words = split(arguments, " \t");
    if (words.empty() || words.size() > 2)
        co_return Reply(501, "5.5.4", "Syntax: AUTH mechanism");
    const std::string mechanism = sasl::upper(words[0].substr(0, 64));
    const auto& offered = service_.params.mechanisms();
    if (std::ranges::find(offered, mechanism) == offered.end()) {
        log::warn(fmt::format("{}: SASL {} authentication failed: Invalid authentication mechanism, "
                              "sasl_username=(unavailable)",
                              label(), printable(mechanism)));
        co_return Reply(535, "5.7.8", "Error: authentication failed: Invalid authentication mechanism");
    }
    std::string response;
    if (words.size() == 2) {
        response = words[1];
    } else {
        say(Reply(334, sasl::encode_base64(first_challenge(mechanism))));
        const auto line = co_await stream_.read_line(static_cast<std::size_t>(service_.params.line_limit()));
        if (!line) {
            end_with(line.error());
            co_return Reply();
        }
        if (!line->complete)
            co_return Reply(500, "5.5.6", "Error: authentication response is too long");
        if (line->text == "*")
            co_return Reply(501, "5.7.0", "Authentication aborted");
        response = line->text.empty() ? "=" : line->text;
    }
    wipe(arguments);
    auto message = sasl::decode_base64(response);
    const auto name = message ? login_name(mechanism, *message) : std::nullopt;
    if (message)
        wipe(*message);
    std::string command = fmt::format("AUTH {} {}", mechanism, response);
    wipe(response);
    if (!name || command.size() > static_cast<std::size_t>(service_.params.line_limit())) {
        wipe(command);
        log::warn(fmt::format("{}: SASL {} authentication failed: no login name, sasl_username=(unavailable)",
                              label(), mechanism));
        co_return Reply(535, "5.7.8", "Error: authentication failed: bad response");
    }
    std::string pending = command;
    wipe(command);
    bool settled = co_await settle(Step::login, login_keys(*name), Stage::reply, pending);
    if (!settled && !broken_) {
        const Choice fallback = service_.decisions->fallback();
        settled = fallback.kind == Choice::Kind::chosen;
        if (settled)
            co_await give(fallback.environment, "default", Stage::reply, pending);
    }
    wipe(pending);
    if (settled)
        co_return Reply();
    log::warn(fmt::format("{}: SASL {} authentication failed: no environment, sasl_username={}", label(),
                          mechanism, printable(*name, true)));
    co_return Reply(454, "4.7.0", "Temporary authentication failure: no mail system for this login");
}

// MAIL FROM: the syntax here, everything else where it goes.
Task<Reply> Dialogue::mail(std::string_view arguments, std::string text)
{
    if (in_mail_)
        co_return Reply(503, "5.5.1", "Error: nested MAIL command");
    CommandOptions options = service_.offers.command_options();
    options.strict = service_.params.strict_envelopes();
    const auto command = parse_mail(arguments, options);
    if (!command)
        co_return command.error();
    std::string sender = command->sender.address;
    bool settled = co_await settle(Step::sender, address_keys(sender), Stage::reply, text);
    if (settled)
        co_return Reply();
    if (broken_)
        co_return Reply(451, "4.3.0", "Error: cannot tell which mail system takes this sender");
    if (!service_.decisions->has_later_than(Step::sender)) {
        settled = co_await settle_rest(Stage::reply, text);
        if (settled)
            co_return Reply();
        co_return Reply(451, "4.3.0", "Error: no mail system takes this sender now");
    }
    state_.answered.push_back(std::move(text));
    in_mail_ = true;
    co_return Reply(250, "2.1.0", "Ok");
}

Task<Reply> Dialogue::rcpt(std::string_view arguments, std::string text)
{
    if (!in_mail_)
        co_return Reply(503, "5.5.1", "Error: need MAIL command");
    CommandOptions options = service_.offers.command_options();
    options.strict = service_.params.strict_envelopes();
    const auto command = parse_rcpt(arguments, options);
    if (!command)
        co_return command.error();
    state_.recipient = command->recipient.address;
    bool settled = co_await settle(Step::recipient, address_keys(state_.recipient), Stage::reply, text);
    if (!settled && !broken_)
        settled = co_await settle_rest(Stage::reply, text);
    if (settled)
        co_return Reply();
    state_.recipient.clear();
    co_return broken_ ? Reply(451, "4.3.0", "Error: cannot tell which mail system takes this recipient")
                      : Reply(451, "4.3.0", "Error: no mail system takes this recipient now");
}

} // namespace bulkhead
