#include "session.h"

#include "milters.h"

#include "login.h"
#include "peer_name.h"
#include "server_tls.h"
#include "smtp/reject_footer.h"

#include "async/wait.h"
#include "base/text.h"
#include "log/log.h"
#include "mail/date.h"
#include "table/ask.h"

#include <algorithm>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

// Replies that pile up for a client that sends and does not read.
constexpr std::size_t unsent_limit = 64 * 1024;

// Commands answered without a pause before other sessions get their turn.
constexpr unsigned commands_per_turn = 64;

constexpr std::size_t shown_input = 100; // bytes of improper input in a log line

// How long a session that is over waits for its last reply to leave.
constexpr Milliseconds farewell_time{10'000};

// "MAIL FROM:<a@b>\r\n" with the line end made visible, and without what belongs to a login.
std::string escaped(std::string_view all)
{
    const std::string_view input = without_secrets(all);
    std::string out;
    for (const char c : input.substr(0, shown_input)) {
        if (c == '\r')
            out += "\\r";
        else if (c == '\n')
            out += "\\n";
        else if (c == '\\')
            out += "\\\\";
        else if (c >= ' ' && c <= '~')
            out += c;
        else
            out += fmt::format("\\{:03o}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    }
    return input.size() < all.size() ? out + "AUTH ***" : out;
}

} // namespace

const std::array<SmtpSession::Command, SmtpSession::verbs> SmtpSession::commands_ = {{
    {"HELO", &SmtpSession::helo, false, true},
    {"EHLO", &SmtpSession::ehlo, false, true},
    {"XCLIENT", &SmtpSession::xclient, false, true},
    {"XFORWARD", &SmtpSession::xforward, false, true},
    {"STARTTLS", &SmtpSession::starttls, false, true},
    {"AUTH", &SmtpSession::auth, false, true},
    {"MAIL", &SmtpSession::mail},
    {"RCPT", &SmtpSession::rcpt},
    {"DATA", &SmtpSession::data, false, true},
    {"BDAT", &SmtpSession::bdat, false, false, true},
    {"RSET", &SmtpSession::rset, true},
    {"NOOP", &SmtpSession::noop, true, true},
    {"VRFY", &SmtpSession::vrfy, true, true},
    {"ETRN", &SmtpSession::etrn, true, true},
    {"QUIT", &SmtpSession::quit},
    {"UNKNOWN", &SmtpSession::unknown},
}};

const SmtpSession::Command& SmtpSession::find_command(std::string_view verb)
{
    const auto known = commands_.end() - 1; // "UNKNOWN" is no word of the protocol
    return *std::find_if(commands_.begin(), known,
                         [&](const Command& command) { return equals_ignoring_case(command.name, verb); });
}

SmtpSession::SmtpSession(Stream& client, SmtpdService& service, ipc::SessionState* begun, Stream* giver)
    : stream_(client), service_(service), begun_(begun), giver_(giver), peer_(peer_of(client.fd())),
      discarded_(service.discarded_keywords), report_(service.reports)
{
    stream_.set_timeout(service_.params.timeout());
}

SmtpSession::~SmtpSession() = default;

std::string SmtpSession::label() const
{
    return service_.params.log_ports() && peer_.network ? peer_.label_with_port() : peer_.label();
}

void SmtpSession::log_event(std::string_view what, std::string_view where) const
{
    log::info(fmt::format("{} after {} from {}", what, where, label()));
}

Task<> SmtpSession::run()
{
    if (begun_ != nullptr)
        take_client();
    else
        co_await read_proxy_header();
    if (!closing_)
        co_await find_client_name();
    traced_ = co_await service_.tables.debug_peers.contains(peer_);
    traced_ = traced_ || log::verbosity() > 0;
    if (!service_.standalone)
        log::info("connect from " + label());
    bool turned_away_now = false;
    if (!closing_)
        turned_away_now = co_await begin_counting();
    if (!closing_ && !is_under_way())
        co_await begin_encrypted();
    if (turned_away_now && !closing_)
        write(turned_away("connections"));
    if (!closing_)
        co_await greet();
    for (unsigned commands = 1; !closing_; ++commands) {
        if (errors_ >= service_.params.hard_errors()) {
            log_event("too many errors", where_);
            co_await say(Reply(421, "4.7.0", service_.myhostname + " Error: too many errors"));
            break;
        }
        if (commands % commands_per_turn == 0)
            co_await yield_turn();
        begin_wait();
        const auto line = co_await stream_.read_line(static_cast<std::size_t>(service_.params.line_limit()));
        if (!line) {
            end_with(line.error());
            break;
        }
        std::string text(line->text);
        co_await obey(std::move(text), line->complete, line->bare_lf);
    }
    reset_transaction();
    if (!lost_) {
        stream_.set_timeout(farewell_time);
        stream_.clear_deadline();
        (void)co_await stream_.flush();
    }
    co_await end_counting();
    co_await report_.send(service_.cleanup, peer_.label(), ending_);
    log_end();
}

// smtpd_peername_lookup.
Task<> SmtpSession::find_client_name()
{
    dns::Resolver* resolver = service_.policy.resolver();
    if (!service_.standalone && resolver != nullptr && service_.params.peer_names())
        co_await look_up_name(peer_, *resolver);
}

void SmtpSession::begin_wait()
{
    if (service_.params.request_deadline())
        stream_.set_deadline(SteadyClock::now() + service_.params.timeout());
}

Task<> SmtpSession::greet()
{
    if (is_under_way())
        co_return co_await go_on();
    if (!service_.standalone && drop_early_input() && service_.params.forbid_unauth_pipelining()) {
        closing_ = true;
        write(Reply(554, "5.5.0", "Error: SMTP protocol synchronization"));
        co_return;
    }
    may_xclient_ = co_await service_.tables.xclient_hosts.contains(peer_);
    may_xforward_ = co_await service_.tables.xforward_hosts.contains(peer_);
    may_xverp_ = co_await service_.tables.verp_clients.contains(peer_);
    Reply reply = co_await welcome();
    co_await say(std::move(reply));
}

// The greeting, or why there is none; also the answer to XCLIENT.
Task<Reply> SmtpSession::welcome()
{
    const AccessSubject about = subject("CONNECT");
    const Verdict verdict = co_await check(Step::connect, about);
    denied_ = verdict.refused();
    if (denied_)
        co_return refuse(about, verdict.reply());
    co_return Reply(220, service_.params.banner());
}

// What a client says before it was greeted is no answer to anything: it is forgotten.  True: there was some.
bool SmtpSession::drop_early_input()
{
    const std::string_view early = stream_.arrived();
    if (early.empty())
        return false;
    log_event("improper command pipelining", fmt::format("CONNECT from {}: {}", label(), escaped(early)));
    stream_.discard_input();
    return true;
}

// A client that sends on where it must wait (RFC 2920, 3.1), or that pipelines
// without having seen the offer; told once per session.
void SmtpSession::notice_pipelining(const Command& command)
{
    const bool known = &command != &commands_.back();
    if (broke_pipelining_ || service_.standalone || !known || command.has_data ||
        (extended_ && !command.ends_group))
        return;
    const std::string_view ahead = stream_.buffered();
    if (ahead.empty())
        return;
    broke_pipelining_ = true;
    log::info(fmt::format("improper command pipelining after {} from {}: {}", command.name, label(),
                          command.name == "AUTH" ? "***" : escaped(ahead)));
}

Task<> SmtpSession::obey(std::string text, bool complete, bool bare_newline)
{
    if (traced_)
        log::info(
            fmt::format("< {}: {}", label(), starts_with_ignoring_case(text, "AUTH") ? "AUTH ***" : text));
    report_.heard(text);
    if (bare_newline)
        bare_newline = co_await service_.policy.forbids_bare_newline(peer_);
    if (bare_newline) {
        closing_ = true;
        const AccessSubject about = subject(where_);
        const Reply reply(service_.params.bare_newline_code(), "5.5.2",
                          service_.myhostname + " Error: bare <LF> received");
        co_return co_await say(refuse(about, reply));
    }
    if (!complete) {
        ++errors_;
        co_return co_await say(Reply(500, "5.5.2", "Error: line too long"));
    }
    if (!service_.tables.command_filter.empty()) {
        auto filtered = co_await filter_command(std::move(text));
        if (!filtered) {
            ++errors_;
            log::warn(filtered.error().context);
            co_return co_await say(Reply(421, "4.3.0", service_.myhostname + " Server local data error"));
        }
        text = *std::move(filtered);
    }
    if (service_.params.smtputf8() && has_8bit(text) && !is_valid_utf8(text)) {
        ++errors_;
        co_return co_await say(Reply(500, "5.5.2", "Error: bad UTF-8 syntax"));
    }
    const CommandLine line = split_command(text);
    if (line.verb.empty()) {
        ++errors_;
        co_return co_await say(Reply(500, "5.5.2", "Error: bad syntax"));
    }
    const Command& command = find_command(line.verb);
    const bool slow = errors_ > service_.params.soft_errors();
    Reply reply = co_await answer(command, line);
    if (reply.code == 0)
        co_return; // the client has gone
    if (slow) {
        (void)co_await stream_.flush();
        co_await sleep_for(service_.params.error_sleep());
    }
    co_await say(std::move(reply));
}

Task<Reply> SmtpSession::answer(const Command& command, const CommandLine& line)
{
    Tally& tally = tallies_[static_cast<std::size_t>(&command - commands_.data())];
    ++tally.all;
    where_ = command.name;
    verb_ = line.verb;
    pardoned_ = false;
    if (command.junk && ++junk_ > service_.params.junk_commands())
        ++errors_;
    notice_pipelining(command);
    if (broke_pipelining_ && service_.params.forbid_unauth_pipelining()) {
        closing_ = true;
        co_return Reply(554, "5.5.0", "Error: SMTP protocol synchronization");
    }
    if (must_start_tls_before(command.name))
        co_return Reply(530, "5.7.0", "Must issue a STARTTLS command first");
    if (is_answered_by_debt(command.name)) {
        ++errors_;
        co_return *owed_;
    }
    if (denied_ && command.name != "QUIT") {
        ++errors_;
        co_return Reply(503, "5.7.0", fmt::format("Error: access denied for {}", peer_.label()));
    }
    const auto handler = command.answer;
    Reply reply = co_await (this->*handler)(line.arguments);
    if (reply.ok())
        ++tally.good;
    else if (reply.code != 0 && !pardoned_)
        ++errors_;
    co_return reply;
}

// The command as smtpd_command_filter wants it.
Task<Result<std::string>> SmtpSession::filter_command(std::string text)
{
    TableList& tables = service_.tables.command_filter;
    const auto find = [&] { return tables.find(text); };
    const Lookup answer = co_await ask(tables.may_block(), find);
    if (answer.is_broken())
        co_return Error(Fault::broken, "smtpd_command_filter: " + answer.reason());
    if (!answer.is_found())
        co_return std::move(text);
    log::info(fmt::format("from {}: replacing client command \"{}\" with \"{}\"", label(),
                          printable(text.substr(0, shown_input), true), printable(answer.value(), true)));
    co_return answer.value();
}

bool SmtpSession::wants_footer() const
{
    return !service_.standalone &&
           (!service_.params.reject_footer().text.empty() || !service_.tables.reject_footers.empty());
}

// smtpd_reject_footer and its tables.
Task<> SmtpSession::add_footer(Reply* reply)
{
    std::string footer = service_.params.reject_footer().text;
    TableList& tables = service_.tables.reject_footers;
    if (!tables.empty()) {
        const std::string key = reply->summary();
        const auto find = [&] { return tables.find(key); };
        const Lookup answer = co_await ask(tables.may_block(), find);
        if (answer.is_found())
            footer = answer.value();
        else if (answer.is_broken())
            log::warn("smtpd_reject_footer_maps: " + answer.reason());
    }
    if (footer.empty())
        co_return;
    const AccessSubject about = subject(where_);
    const FooterValues values = [&](std::string_view name) { return footer_value(name, about); };
    const auto added = append_footer(*reply, footer, values);
    if (!added)
        log::warn("smtpd_reject_footer: " + added.error().context);
}

std::optional<std::string> SmtpSession::footer_value(std::string_view name, const AccessSubject& about) const
{
    if (name == "client_address")
        return peer_.address;
    if (name == "client_name")
        return peer_.name;
    if (name == "client_port")
        return std::to_string(peer_.port);
    if (name == "reverse_client_name")
        return peer_.reverse_name;
    if (name == "helo_name")
        return helo_;
    if (name == "sender")
        return std::string(about.sender.value_or(""));
    if (name == "recipient")
        return std::string(about.recipient.value_or(""));
    if (name == "server_name" || name == "myhostname")
        return service_.myhostname;
    if (name == "localtime")
        return listing_date(WallTime::now().seconds).substr(4);
    return std::nullopt;
}

Task<> SmtpSession::say(Reply reply)
{
    if (reply.code >= 400 && wants_footer())
        co_await add_footer(&reply);
    write(std::move(reply));
    if (stream_.unsent() > unsent_limit) {
        const auto sent = co_await stream_.flush();
        if (!sent)
            end_with(sent.error());
    }
}

void SmtpSession::write(Reply reply)
{
    if (service_.params.soft_bounce() && reply.code >= 500) {
        reply.code -= 100;
        if (reply.dsn.starts_with('5'))
            reply.dsn[0] = '4';
    }
    // 421 and 521 say themselves that the connection is closed (RFC 5321, 3.8).
    if (reply.code == 421 || reply.code == 521)
        closing_ = true;
    if (traced_)
        for (const std::string_view line : split(reply.wire(), "\r\n"))
            log::info(fmt::format("> {}: {}", label(), reply.code == 334 ? "334 ***" : line));
    report_.said(reply);
    reply.append_wire(stream_.output());
}

// The stream has failed: what the client is told, and what the log.
void SmtpSession::end_with(const Error& error)
{
    if (closing_)
        return;
    closing_ = true;
    ending_ = error.fault == Fault::timeout ? "timeout" : "lost connection";
    if (error.fault == Fault::timeout) {
        log_event("timeout", where_);
        write(Reply(421, "4.4.2", service_.myhostname + " Error: timeout exceeded"));
        return;
    }
    lost_ = true;
    if (error.fault == Fault::cancelled) {
        // The worker stops at once: a cancelled stream sends nothing any more.
        write(Reply(421, "4.3.2", service_.myhostname + " Service shutting down"));
        stream_.send_what_fits();
        return;
    }
    log_event("lost connection", where_);
}

// "disconnect from a[b] ehlo=1 mail=1/2 commands=2/3"
void SmtpSession::log_end() const
{
    if (service_.standalone)
        return;
    const auto count = [](const Tally& tally) {
        return tally.good == tally.all ? std::to_string(tally.all)
                                       : fmt::format("{}/{}", tally.good, tally.all);
    };
    std::string text = "disconnect from " + label();
    Tally sum;
    for (std::size_t i = 0; i < verbs; ++i) {
        sum.good += tallies_[i].good;
        sum.all += tallies_[i].all;
        if (tallies_[i].all > 0)
            text += fmt::format(" {}={}", lower(commands_[i].name), count(tallies_[i]));
    }
    text += sum.all == 0 ? " commands=0/0" : " commands=" + count(sum);
    log::info(text);
}

} // namespace bulkhead
