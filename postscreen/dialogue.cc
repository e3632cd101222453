#include "dialogue.h"

#include "base/text.h"
#include "config/values.h"
#include "log/log.h"
#include "mail/logged_address.h"
#include "table/ask.h"
#include "tls/context.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr std::size_t shown_verb = 16;

// In the order of smtpd.  What only smtpd can do is not offered: PIPELINING is what one of the
// tests waits for, and logins are for those that are let in.
constexpr std::array<std::string_view, 8> keywords = {
    "SIZE", "VRFY", "ETRN", "STARTTLS", "ENHANCEDSTATUSCODES", "8BITMIME", "DSN", "SMTPUTF8"};

std::string upper(std::string_view text)
{
    std::string word(text.substr(0, shown_verb));
    std::ranges::transform(word, word.begin(),
                           [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
    return word;
}

} // namespace

Dialogue::Dialogue(Stream& client, bool& at_rest, ScreenService& service, Candidate& candidate)
    : stream_(client), at_rest_(at_rest), service_(service), candidate_(candidate),
      discarded_(service.params.discarded_keywords())
{
}

Task<> Dialogue::run()
{
    candidate_.since = SteadyClock::now();
    co_await find_discarded_keywords();
    co_await say(Reply(220, service_.params.banner()));
    for (int commands = 0; !candidate_.closing; ++commands) {
        stream_.set_deadline(SteadyClock::now() + service_.pace().command_time);
        at_rest_ = true;
        const auto line = co_await stream_.read_line(static_cast<std::size_t>(service_.params.line_limit()));
        at_rest_ = false;
        if (!line) {
            co_await lost(line.error());
            break;
        }
        if (commands >= service_.params.command_count_limit()) {
            Reply farewell(421, "4.7.0", "Error: too many commands");
            co_await end_with("COMMAND COUNT LIMIT", std::move(farewell));
            break;
        }
        if (!line->complete) {
            Reply farewell(421, "4.7.0", "Error: command line too long");
            co_await end_with("COMMAND LENGTH LIMIT", std::move(farewell));
            break;
        }
        std::string text(line->text);
        const bool bare_newline = line->bare_lf;
        const bool goes_on = co_await obey(std::move(text), bare_newline);
        if (!goes_on)
            break;
    }
    stream_.clear_deadline();
}

Task<> Dialogue::end_with(std::string_view what, Reply farewell)
{
    log::info(fmt::format("{} from {} after {}", what, candidate_.label(), where_));
    candidate_.closing = true;
    co_await say(std::move(farewell));
}

Task<> Dialogue::lost(const Error& error)
{
    candidate_.closing = true;
    if (error.fault == Fault::timeout) {
        Reply farewell(421, "4.4.2", service_.myhostname + " Error: timeout exceeded");
        co_return co_await end_with("COMMAND TIME LIMIT", std::move(farewell));
    }
    candidate_.gone = true;
    if (error.fault == Fault::cancelled) {
        const Reply reply(421, "4.3.2", service_.myhostname + " Service shutting down");
        reply.append_wire(stream_.output());
        stream_.send_what_fits();
        co_return;
    }
    log::info(fmt::format("HANGUP after {} from {} in tests after SMTP handshake", candidate_.elapsed(),
                          candidate_.label()));
}

Task<> Dialogue::say(Reply reply)
{
    if (reply.code >= 400)
        co_await add_footer(&service_, &candidate_, &reply);
    if (reply.code == 421 || reply.code == 521)
        candidate_.closing = true;
    reply.append_wire(stream_.output());
}

Task<> Dialogue::find_discarded_keywords()
{
    TableList& tables = service_.discarded_keywords;
    if (tables.empty())
        co_return;
    const std::string& address = candidate_.ends.client_address;
    const auto find = [&] { return tables.find(address); };
    const Lookup found = co_await ask(tables.may_block(), find);
    if (found.is_found())
        discarded_ = parse_list(found.value());
    else if (found.is_broken())
        log::warn("postscreen_discard_ehlo_keyword_address_maps: " + found.reason());
}

Task<Result<std::string>> Dialogue::filter(std::string line)
{
    TableList& tables = service_.command_filter;
    if (tables.empty())
        co_return std::move(line);
    const auto find = [&] { return tables.find(line); };
    const Lookup found = co_await ask(tables.may_block(), find);
    if (found.is_broken())
        co_return Error(Fault::broken, "postscreen_command_filter: " + found.reason());
    co_return found.is_found() ? found.value() : std::move(line);
}

// False: the session is over.
Task<bool> Dialogue::obey(std::string text, bool bare_newline)
{
    if (bare_newline)
        look_for_bare_newline(text);
    auto filtered = co_await filter(std::move(text));
    if (!filtered) {
        log::warn(filtered.error().context);
        Reply trouble(421, "4.3.0", service_.myhostname + " Server local data error");
        co_await say(std::move(trouble));
        co_return false;
    }
    text = *std::move(filtered);
    const CommandLine line = split_command(text);
    bool ends = candidate_.closing;
    if (!ends)
        ends = co_await speaks_other_protocol(line, text);
    if (!ends) {
        where_ = upper(line.verb);
        look_for_pipelining();
    }
    Reply reply = candidate_.answer;
    const bool starts_tls = !candidate_.closing && line.is("STARTTLS") && offers("STARTTLS");
    if (starts_tls)
        reply = co_await start_tls(line.arguments);
    else if (!candidate_.closing)
        reply = answer(line);
    if (reply.code == 0)
        co_return !candidate_.closing;
    co_await say(std::move(reply));
    co_return !candidate_.closing;
}

bool Dialogue::violated(Test test, Action action, Reply farewell)
{
    candidate_.fail(test);
    if (action == Action::ignore)
        return false;
    candidate_.closing = action == Action::drop;
    candidate_.refuse(candidate_.closing ? std::move(farewell) : Reply(550, "5.5.1", "Protocol error"));
    return candidate_.closing;
}

void Dialogue::look_for_bare_newline(std::string_view text)
{
    if (!candidate_.due.has(Test::bare_newline))
        return;
    log::info(fmt::format("BARE NEWLINE from {} after {}", candidate_.label(), escaped(text)));
    (void)violated(Test::bare_newline, service_.bare_newline, Reply(521, "5.5.1", "Protocol error"));
}

Task<bool> Dialogue::speaks_other_protocol(const CommandLine& line, std::string text)
{
    if (!candidate_.due.has(Test::non_smtp) || line.verb.empty())
        co_return false;
    const MatchList& forbidden = service_.forbidden_commands;
    const std::string verb(line.verb);
    const auto find = [&] { return static_cast<bool>(forbidden.match(verb)); };
    const bool is_forbidden = co_await ask(forbidden.may_block(), find);
    if (!is_forbidden)
        co_return false;
    log::info(
        fmt::format("NON-SMTP COMMAND from {} after {}: {}", candidate_.label(), where_, escaped(text)));
    co_return violated(Test::non_smtp, service_.non_smtp,
                       Reply(521, "5.7.0", "Error: this is a mail server. Goodbye."));
}

// What a client sends before it has seen the reply that it had to wait for.
void Dialogue::look_for_pipelining()
{
    if (!candidate_.due.has(Test::pipelining))
        return;
    const std::string_view more = stream_.arrived();
    if (more.empty())
        return;
    log::info(
        fmt::format("COMMAND PIPELINING from {} after {}: {}", candidate_.label(), where_, escaped(more)));
    (void)violated(Test::pipelining, service_.pipelining, Reply(521, "5.5.1", "Protocol error"));
}

bool Dialogue::offers(std::string_view keyword) const
{
    if (keyword == "VRFY" && service_.params.disable_vrfy())
        return false;
    if (keyword == "SMTPUTF8" && !service_.params.smtputf8())
        return false;
    if (keyword == "STARTTLS" && (!service_.tls || stream_.is_upgraded()))
        return false;
    return std::ranges::none_of(discarded_,
                                [&](const std::string& word) { return equals_ignoring_case(word, keyword); });
}

CommandOptions Dialogue::options() const
{
    CommandOptions options;
    options.strict = service_.params.strict_envelopes();
    options.size = offers("SIZE");
    options.eightbit = offers("8BITMIME");
    options.dsn = offers("DSN");
    options.auth = true; // a client may believe that it is still logged in elsewhere
    options.smtputf8 = in_mail_ ? utf8_ : offers("SMTPUTF8");
    return options;
}

// RFC 3207.  Without a reply: the handshake is over, well or not.
Task<Reply> Dialogue::start_tls(std::string_view arguments)
{
    if (!arguments.empty())
        co_return Reply(501, "5.5.4", "Syntax: STARTTLS");
    const Reply ready(220, "2.0.0", "Ready to start TLS");
    ready.append_wire(stream_.output());
    const auto sent = co_await stream_.flush();
    if (!sent) {
        co_await lost(sent.error());
        co_return Reply();
    }
    stream_.discard_input();
    stream_.clear_deadline();
    stream_.set_timeout(
        std::min<Milliseconds>(service_.params.starttls_timeout(), service_.pace().command_time));
    stream_.upgrade(service_.tls->accept(stream_.fd()));
    const auto shaken = co_await stream_.handshake();
    stream_.set_timeout(Milliseconds(0));
    if (!shaken) {
        log::info(fmt::format("TLS handshake failed for service={} peer={}: {}",
                              service_.params.smtpd_service(), candidate_.label(), shaken.error().context));
        candidate_.closing = candidate_.gone = true;
        co_return Reply();
    }
    // Nothing that was said in clear is known any more.
    candidate_.helo.clear();
    in_mail_ = false;
    co_return Reply();
}

bool Dialogue::must_start_tls(const CommandLine& line) const
{
    constexpr std::array<std::string_view, 6> free = {"HELO", "EHLO", "STARTTLS", "NOOP", "RSET", "QUIT"};
    return service_.must_encrypt && !stream_.is_upgraded() &&
           std::ranges::none_of(free, [&](std::string_view name) { return line.is(name); });
}

Reply Dialogue::answer(const CommandLine& line)
{
    if (!line.verb.empty() && must_start_tls(line))
        return {530, "5.7.0", "Must issue a STARTTLS command first"};
    if (line.verb.empty())
        return {500, "5.5.2", "Error: bad syntax"};
    if (line.is("HELO") || line.is("EHLO"))
        return hello(line);
    if (line.is("MAIL"))
        return mail(line.arguments);
    if (line.is("RCPT"))
        return rcpt(line.arguments);
    if (line.is("VRFY"))
        return vrfy(line.arguments);
    if (line.is("DATA") || line.is("BDAT")) {
        // Chunks would come without being asked for.
        candidate_.closing |= line.is("BDAT");
        return in_mail_ ? Reply(554, "5.5.1", "Error: no valid recipients")
                        : Reply(503, "5.5.1", "Error: need RCPT command");
    }
    if (line.is("RSET") || line.is("NOOP")) {
        in_mail_ = in_mail_ && line.is("NOOP");
        return {250, "2.0.0", "Ok"};
    }
    if (line.is("ETRN"))
        return {458, "Unable to queue messages"};
    if (line.is("QUIT")) {
        candidate_.closing = true;
        return {221, "2.0.0", "Bye"};
    }
    if (line.is("STARTTLS") && stream_.is_upgraded())
        return {554, "5.5.1", "Error: TLS already active"};
    if (line.is("AUTH") || line.is("STARTTLS"))
        return {502, "5.5.1", "Error: command not implemented"};
    return {500, "5.5.2", "Error: command not recognized"};
}

Reply Dialogue::hello(const CommandLine& line)
{
    auto name = parse_helo(line.verb, line.arguments);
    if (!name)
        return name.error();
    candidate_.helo = *std::move(name);
    candidate_.extended = line.is("EHLO");
    in_mail_ = false;
    if (!candidate_.extended)
        return {250, service_.myhostname};
    std::vector<std::string> lines{service_.myhostname};
    for (const std::string_view keyword : keywords) {
        if (!offers(keyword))
            continue;
        const std::int64_t size = keyword == "SIZE" ? service_.params.size_limit() : 0;
        lines.push_back(size > 0 ? fmt::format("SIZE {}", size) : std::string(keyword));
    }
    return {250, std::move(lines)};
}

Reply Dialogue::mail(std::string_view arguments)
{
    if (service_.params.helo_required() && candidate_.helo.empty())
        return {503, "5.5.1", "Error: send HELO/EHLO first"};
    if (in_mail_)
        return {503, "5.5.1", "Error: nested MAIL command"};
    const auto command = parse_mail(arguments, options());
    if (!command)
        return command.error();
    in_mail_ = true;
    utf8_ = command->smtputf8;
    candidate_.sender = command->sender.address;
    return {250, "2.1.0", "Ok"};
}

// Who comes this far has passed what is due: later commands could tell nothing more.
void Dialogue::pass_deep_tests()
{
    const std::int64_t now = WallTime::now().seconds;
    if (candidate_.due.has(Test::pipelining))
        candidate_.pass(Test::pipelining, now + service_.params.pipelining_ttl().count());
    if (candidate_.due.has(Test::non_smtp))
        candidate_.pass(Test::non_smtp, now + service_.params.non_smtp_ttl().count());
    if (candidate_.due.has(Test::bare_newline))
        candidate_.pass(Test::bare_newline, now + service_.params.bare_newline_ttl().count());
}

Reply Dialogue::rcpt(std::string_view arguments)
{
    if (!in_mail_)
        return {503, "5.5.1", "Error: need MAIL command"};
    const auto command = parse_rcpt(arguments, options());
    if (!command)
        return command.error();
    candidate_.recipient = command->recipient.address;
    pass_deep_tests();
    const Reply reply =
        candidate_.failed ? candidate_.answer : Reply(450, "4.3.2", "Service currently unavailable");
    log::info(fmt::format("NOQUEUE: reject: RCPT from {}: {}; from=<{}>, to=<{}>, proto={}, helo=<{}>",
                          candidate_.label(), reply.summary(),
                          printable(logged_form(candidate_.sender), true),
                          printable(logged_form(candidate_.recipient), true),
                          candidate_.extended ? "ESMTP" : "SMTP", candidate_.helo));
    return reply;
}

Reply Dialogue::vrfy(std::string_view arguments)
{
    if (service_.params.disable_vrfy())
        return {502, "5.5.1", "VRFY command is disabled"};
    if (arguments.empty())
        return {501, "5.5.4", "Syntax: VRFY address"};
    return candidate_.failed ? candidate_.answer : Reply(450, "4.3.2", "Service currently unavailable");
}

} // namespace bulkhead
