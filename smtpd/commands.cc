// What each command does: decides, and returns the reply.
#include "session.h"

#include "before_queue.h"
#include "login.h"
#include "milters.h"
#include "server_sasl.h"
#include "server_tls.h"
#include "standalone_sink.h"

#include "ipc/anvil.h"

#include "base/text.h"
#include "config/values.h"
#include "log/log.h"
#include "table/ask.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <unistd.h>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

struct Keyword {
    std::string_view name;
    Offer offer;
};

constexpr std::array<Keyword, 14> keywords = {{
    {"PIPELINING", Offer::pipelining},
    {"SIZE", Offer::size},
    {"VRFY", Offer::vrfy},
    {"ETRN", Offer::etrn},
    {"STARTTLS", Offer::starttls},
    {"AUTH", Offer::auth},
    {"XCLIENT", Offer::xclient},
    {"XFORWARD", Offer::xforward},
    {"XVERP", Offer::xverp},
    {"ENHANCEDSTATUSCODES", Offer::status},
    {"8BITMIME", Offer::eightbit},
    {"DSN", Offer::dsn},
    {"SMTPUTF8", Offer::utf8},
    {"CHUNKING", Offer::chunking},
}};

constexpr std::string_view silence = "silent-discard";

// What the client is told of a message that cannot be stored now.
Reply not_stored(const Error& error)
{
    if (error.number == ENOSPC)
        return Reply(452, "4.3.1", "Insufficient system storage");
    if (error.fault == Fault::config) // a list that cannot be read
        return Reply(451, "4.3.0", "Temporary lookup failure");
    return Reply(451, "4.3.0", "Error: queue file write error");
}

} // namespace

unsigned offers_in(const std::vector<std::string>& words)
{
    unsigned mask = 0;
    for (const std::string& word : words)
        for (const Keyword& keyword : keywords)
            if (equals_ignoring_case(word, keyword.name))
                mask |= static_cast<unsigned>(keyword.offer);
    for (const std::string& word : words)
        if (equals_ignoring_case(word, silence))
            mask |= static_cast<unsigned>(Offer::silent);
    return mask;
}

std::string_view SmtpSession::protocol() const
{
    if (transaction_ && transaction_->mail.smtputf8)
        return "UTF8SMTP";
    return extended_ ? "ESMTP" : "SMTP";
}

// The one place where a transaction ends: RSET, HELO and EHLO, the end of a message
// whatever became of it, the end of the session.
void SmtpSession::reset_transaction()
{
    transaction_.reset();
    owed_.reset();
    if (milters_)
        milters_->end_message();
    instance_.clear();
    chunks_ = Chunks::none;
    forwarded_ = Forwarded();
}

// The same for all questions about one message, and never used for another.
std::string_view SmtpSession::instance()
{
    static const pid_t process = ::getpid();
    static std::uint64_t count = 0;
    if (instance_.empty())
        instance_ = fmt::format("{:x}.{:x}.{:x}.0", process, WallTime::now().seconds, ++count);
    return instance_;
}

AccessSubject SmtpSession::subject(std::string_view stage)
{
    AccessSubject about(stage, peer_);
    about.helo = helo_;
    about.protocol = protocol();
    about.broke_pipelining = broke_pipelining_;
    about.tls = tls_.get();
    if (login_) {
        about.sasl_method = login_->method;
        about.sasl_username = login_->user;
    }
    about.instance = instance();
    if (!transaction_)
        return about;
    about.recipients = transaction_->recipients;
    about.size = transaction_->size > 0 ? transaction_->size : transaction_->mail.size.value_or(0);
    about.actions = &transaction_->actions;
    about.sender = transaction_->mail.sender.address;
    if (transaction_->mail.auth)
        about.sasl_sender = *transaction_->mail.auth;
    if (transaction_->recipients == 1)
        about.recipient = transaction_->recipient;
    about.queue_id = transaction_->queue_id;
    return about;
}

Task<Verdict> SmtpSession::check(Step step, const AccessSubject& about)
{
    if (service_.standalone)
        co_return Verdict();
    Verdict verdict = co_await service_.policy.check(step, about);
    if (verdict.refused() || !service_.milters)
        co_return verdict;
    co_return co_await ask_milters(step, about);
}

// Logs the refusal, with what is known of the session, and returns the reply.
Reply SmtpSession::refuse(const AccessSubject& about, Reply reply)
{
    if (service_.params.soft_bounce() && reply.code >= 500) {
        reply.code -= 100;
        if (reply.dsn.starts_with('5'))
            reply.dsn[0] = '4';
    }
    if (!std::exchange(refused_by_milter_, false)) // that has been logged
        log::info(access_line("reject", about, label(), reply.summary()));
    return reply;
}

Task<Reply> SmtpSession::helo(std::string_view arguments)
{
    co_return co_await hello("HELO", arguments, false);
}

Task<Reply> SmtpSession::ehlo(std::string_view arguments)
{
    co_return co_await hello("EHLO", arguments, true);
}

// HELO and EHLO (RFC 5321, 4.1.1.1): a new beginning in every respect.
Task<Reply> SmtpSession::hello(std::string_view verb, std::string_view arguments, bool extended)
{
    auto name = parse_helo(verb, arguments);
    if (!name)
        co_return name.error();
    AccessSubject about = subject(verb);
    const std::string clean = without_specials(*std::move(name));
    about.helo = clean;
    about.protocol = extended ? "ESMTP" : "SMTP";
    const Verdict verdict = co_await check(Step::helo, about);
    if (verdict.refused())
        co_return refuse(about, verdict.reply());
    reset_transaction();
    helo_ = clean;
    extended_ = extended;
    if (!extended)
        co_return Reply(250, service_.myhostname);
    const bool chosen = co_await choose_offers();
    if (!chosen)
        co_return Reply(421, "4.3.0", service_.myhostname + " Server local data error");
    const std::string auth = co_await auth_offer();
    co_return Reply(250, offers(auth));
}

// Which keywords this client is not to see.  False: its table does not answer.
Task<bool> SmtpSession::choose_offers()
{
    discarded_ = service_.discarded_keywords;
    TableList& tables = service_.tables.discarded_keywords;
    if (!tables.empty()) {
        const auto find = [&] { return tables.find(peer_.address); };
        const Lookup answer = co_await ask(tables.may_block(), find);
        if (answer.is_broken()) {
            log::warn("smtpd_discard_ehlo_keyword_address_maps: " + answer.reason());
            co_return false;
        }
        if (answer.is_found())
            discarded_ = offers_in(parse_list(answer.value()));
    }
    if (discarded_ == 0 || !is_offered(Offer::silent) || said_offers_)
        co_return true;
    said_offers_ = true;
    std::string words;
    for (const Keyword& keyword : keywords)
        if (!is_offered(keyword.offer))
            words.append(" ").append(keyword.name);
    log::info("discarding EHLO keywords:" + words);
    co_return true;
}

// Of what the configuration and the session's state allow.
bool SmtpSession::may_offer(Offer offer) const
{
    switch (offer) {
    case Offer::vrfy:
        return !service_.params.vrfy_disabled();
    case Offer::starttls:
        return offers_tls();
    case Offer::xclient:
        return may_xclient_;
    case Offer::xforward:
        return may_xforward_;
    case Offer::xverp:
        return may_xverp_;
    case Offer::utf8:
        return service_.params.smtputf8();
    default:
        return true;
    }
}

// auth: the mechanisms of AUTH.
std::vector<std::string> SmtpSession::offers(std::string_view auth) const
{
    const SmtpdParams& params = service_.params;
    std::vector<std::string> lines{service_.myhostname};
    for (const Keyword& keyword : keywords) {
        if (!is_offered(keyword.offer) || !may_offer(keyword.offer) ||
            (keyword.offer == Offer::auth && auth.empty()))
            continue;
        lines.emplace_back(keyword.name);
        if (keyword.offer == Offer::auth) {
            lines.back().append(" ").append(auth);
            if (params.sasl.broken_clients())
                lines.push_back(fmt::format("AUTH={}", auth));
        }
        if (keyword.offer == Offer::size && params.message_size() > 0)
            lines.back() += fmt::format(" {}", params.message_size());
        else if (keyword.offer == Offer::xclient)
            lines.back().append(" ").append(xclient_attributes);
        else if (keyword.offer == Offer::xforward)
            lines.back().append(" ").append(xforward_attributes);
    }
    return lines;
}

CommandOptions SmtpSession::command_options() const
{
    CommandOptions options;
    options.strict = service_.params.strict_envelopes();
    options.size = is_offered(Offer::size);
    options.eightbit = is_offered(Offer::eightbit);
    options.dsn = is_offered(Offer::dsn);
    if (may_xverp_ && is_offered(Offer::xverp))
        options.verp_delimiters = service_.params.verp_characters();
    options.auth = service_.sasl && service_.sasl->is_enabled();
    options.smtputf8 = service_.params.smtputf8() && is_offered(Offer::utf8);
    options.utf8_undeclared = service_.params.smtputf8() && !service_.params.strict_utf8();
    return options;
}

// MAIL FROM (RFC 5321, 4.1.1.2): opens a transaction; nothing is stored yet.
Task<Reply> SmtpSession::mail(std::string_view arguments)
{
    const SmtpdParams& params = service_.params;
    if (helo_.empty() && params.helo_required())
        co_return Reply(503, "5.5.1", "Error: send HELO/EHLO first");
    if (transaction_)
        co_return Reply(503, "5.5.1", "Error: nested MAIL command");
    if (chunks_ != Chunks::none)
        co_return Reply(503, "5.5.1", "Error: MAIL after BDAT");
    auto command = parse_mail(arguments, command_options());
    if (!command) {
        if (command.error().dsn == "5.1.7")
            log::warn(fmt::format("Illegal address syntax from {} in MAIL command: {}", label(), arguments));
        co_return std::move(command.error());
    }
    if (command->auth && !login_)
        co_return Reply(503, "5.5.4", "Error: send AUTH command first");
    if (command->verp && command->sender.address.empty())
        co_return Reply(503, "5.5.4", "Error: XVERP requires a sender who is not null");
    if (command->verp && command->verp->empty())
        command->verp = params.verp_delimiters();
    const bool too_much_mail = co_await does_too_much(ipc::ClientEvent::message);
    if (too_much_mail)
        co_return Reply(450, "4.7.1", "Error: too much mail from " + peer_.address);
    AccessSubject about = subject("MAIL");
    const std::string sender = command->sender.address;
    about.sender = sender;
    const std::uint64_t size = command->size.value_or(0);
    about.size = size;
    if (params.message_size() > 0 && size > static_cast<std::uint64_t>(params.message_size()))
        co_return refuse(about, Reply(552, "5.3.4", "Message size exceeds fixed limit"));
    if (!service_.disk.has_room(size))
        co_return refuse(about, Reply(452, "4.3.1", "Insufficient system storage"));
    const Verdict verdict = co_await check(Step::mail, about);
    if (verdict.refused())
        co_return refuse(about, verdict.reply());
    transaction_ = std::make_unique<Transaction>(*std::move(command));
    transaction_->arguments = arguments;
    if (!params.delay_open()) {
        const auto opened = co_await open_message();
        if (!opened) {
            log::warn(opened.error().context);
            reset_transaction();
            co_return not_stored(opened.error());
        }
    }
    co_return Reply(250, "2.1.0", "Ok");
}

// RCPT TO (RFC 5321, 4.1.1.3): adds one recipient to the open transaction.
Task<Reply> SmtpSession::rcpt(std::string_view arguments)
{
    const SmtpdParams& params = service_.params;
    if (chunks_ != Chunks::none)
        co_return Reply(503, "5.5.1", "Error: RCPT after BDAT");
    if (!transaction_)
        co_return Reply(503, "5.5.1", "Error: need MAIL command");
    if (transaction_->recipients >= params.recipient_limit()) {
        pardoned_ = transaction_->overshoot++ < params.recipient_overshoot();
        co_return Reply(452, "4.5.3", "Error: too many recipients");
    }
    CommandOptions options = command_options();
    options.smtputf8 = transaction_->mail.smtputf8;
    const auto command = parse_rcpt(arguments, options);
    if (!command) {
        if (command.error().dsn == "5.1.3")
            log::warn(fmt::format("Illegal address syntax from {} in RCPT command: {}", label(), arguments));
        co_return command.error();
    }
    if (giver_ != nullptr) {
        Reply reply = co_await check_owner(command->recipient.address);
        AccessSubject about = subject("RCPT");
        about.recipient = command->recipient.address;
        if (reply.code != 0)
            co_return refuse(about, std::move(reply));
    }
    const bool too_many_recipients = co_await does_too_much(ipc::ClientEvent::recipient);
    if (too_many_recipients)
        co_return Reply(450, "4.7.1", "Error: too many recipients from " + peer_.address);
    AccessSubject about = subject("RCPT");
    about.recipient = command->recipient.address;
    const Verdict verdict = co_await check(Step::recipient, about);
    if (verdict.refused())
        co_return refuse(about, verdict.reply());

    const auto opened = co_await open_message();
    if (!opened) {
        log::warn(opened.error().context);
        co_return not_stored(opened.error());
    }
    Transaction& transaction = *transaction_;
    if (BeforeQueueFilter* const filter = transaction.sink->filter()) {
        auto reply = co_await filter->add_recipient(std::string(arguments));
        if (!reply) {
            log::warn(reply.error().context);
            transaction.broken = true;
            co_return not_stored(reply.error());
        }
        if (reply->code != 0)
            co_return *std::move(reply);
    }
    append_recipient(transaction.sink->records(), *command, transaction.sink->wants_client_attributes());
    transaction.recipient = ++transaction.recipients == 1 ? command->recipient.address : std::string();
    if (transaction.sink->wants_sending()) {
        const auto sent = co_await transaction.sink->send_some();
        if (!sent) {
            log::warn(fmt::format("{}: {}", transaction.queue_id, sent.error().context));
            transaction.broken = true;
        }
    }
    co_return Reply(250, "2.1.5", "Ok");
}

// The first good recipient opens the message; sessions that never get so far leave
// no trace in the spool.
Task<Result<>> SmtpSession::open_message()
{
    Transaction& transaction = *transaction_;
    if (transaction.broken)
        co_return Error(Fault::broken, "the message has broken off");
    if (transaction.sink)
        co_return Result<>();
    bool local = service_.standalone;
    if (forwarded_.told)
        local = forwarded_.local;
    else if (!local) {
        CO_TRY(local, co_await service_.policy.is_local_client(peer_));
    }
    if (service_.standalone) {
        auto opened = co_await PostdropSink::open(service_.params.command_directory());
        if (!opened)
            co_return opened.error();
        transaction.sink = *std::move(opened);
    } else if (service_.before_queue != nullptr) {
        CO_TRY_VOID(co_await open_filter(local));
    } else {
        unsigned flags = service_.cleanup_flags;
        if (milters_ && !milters_->empty())
            flags |= ipc::cleanup_flag::client_milters;
        if (local)
            flags |= ipc::cleanup_flag::rewrite_local;
        if (transaction.mail.smtputf8)
            flags |= ipc::cleanup_flag::smtputf8;
        auto opened = co_await ipc::CleanupStream::open(service_.cleanup, flags);
        if (!opened)
            co_return opened.error();
        transaction.sink = std::make_unique<CleanupSink>(*std::move(opened));
    }
    transaction.queue_id = transaction.sink->queue_id();
    const bool with_client = transaction.sink->wants_client_attributes();
    const ClientFacts client = client_facts(protocol(), local);
    if (with_client)
        log::info(fmt::format("{}: client={}{}{}",
                              transaction.queue_id.empty() ? "NOQUEUE" : transaction.queue_id, label(),
                              origin_note(), login_attributes(client)));
    append_envelope(transaction.sink->records(), transaction, client, with_client);
    co_return Result<>();
}

ClientFacts SmtpSession::client_facts(std::string_view protocol_name, bool rewrite_headers) const
{
    ClientFacts client(peer_, helo_, protocol_name, rewrite_headers, forwarded_.told ? &forwarded_ : nullptr);
    if (login_) {
        client.sasl_method = login_->method;
        client.sasl_username = login_->user;
        if (transaction_ && transaction_->mail.auth)
            client.sasl_sender = *transaction_->mail.auth;
    }
    return client;
}

// ", orig_queue_id=X, orig_client=a[b]" of a message whose first client XFORWARD has told.
std::string SmtpSession::origin_note() const
{
    std::string note;
    if (!forwarded_.ident.empty())
        note += ", orig_queue_id=" + forwarded_.ident;
    if (!forwarded_.label().empty())
        note += ", orig_client=" + forwarded_.label();
    return note;
}

// DATA (RFC 5321, 4.1.1.4).
// What DATA and the first BDAT have in common; a reply with code 0: the text may come.
Task<Reply> SmtpSession::admit_content(std::string_view command)
{
    if (!transaction_)
        co_return Reply(503, "5.5.1", "Error: need RCPT command");
    if (transaction_->recipients == 0)
        co_return Reply(554, "5.5.1", "Error: no valid recipients");
    if (transaction_->broken)
        co_return Reply(451, "4.3.0", "Error: queue file write error");
    const AccessSubject about = subject(command);
    const Verdict verdict = co_await check(Step::data, about);
    if (verdict.refused())
        co_return refuse(about, verdict.reply());
    co_return Reply();
}

Task<Reply> SmtpSession::data(std::string_view arguments)
{
    if (chunks_ != Chunks::none)
        co_return Reply(503, "5.5.1", "Error: DATA after BDAT");
    if (!arguments.empty())
        co_return Reply(501, "5.5.4", "Syntax: DATA");
    const std::string_view command = "DATA";
    Reply reply = co_await admit_content(command);
    if (reply.code != 0)
        co_return reply;
    reply = co_await begin_filtered();
    if (reply.code == 0)
        reply = co_await receive_message();
    reset_transaction();
    co_return reply;
}

Task<Reply> SmtpSession::rset(std::string_view arguments)
{
    if (!arguments.empty())
        co_return Reply(501, "5.5.4", "Syntax: RSET");
    reset_transaction();
    co_return Reply(250, "2.0.0", "Ok");
}

Task<Reply> SmtpSession::noop(std::string_view)
{
    co_return Reply(250, "2.0.0", "Ok");
}

// VRFY (RFC 5321, 3.5.3): says whether RCPT would be refused, never more.
Task<Reply> SmtpSession::vrfy(std::string_view arguments)
{
    if (service_.params.vrfy_disabled())
        co_return Reply(502, "5.5.1", "VRFY command is disabled");
    constexpr std::string_view utf8_word = "SMTPUTF8";
    const auto blank = arguments.find_last_of(" \t");
    if (blank != std::string_view::npos && service_.params.smtputf8() &&
        equals_ignoring_case(arguments.substr(blank + 1), utf8_word))
        arguments = trim(arguments.substr(0, blank));
    if (arguments.empty())
        co_return Reply(501, "5.5.4",
                        service_.params.smtputf8() ? "Syntax: VRFY address [SMTPUTF8]"
                                                   : "Syntax: VRFY address");
    const PathOptions options{false, service_.params.smtputf8()};
    const auto path = parse_path(arguments, options);
    if (!path || path->is_null())
        co_return Reply(501, "5.1.3", "Bad recipient address syntax");
    AccessSubject about = subject("VRFY");
    about.sender.reset();
    about.recipient = path->address;
    const Verdict verdict = co_await check(Step::recipient, about);
    if (verdict.refused())
        co_return refuse(about, verdict.reply());
    co_return Reply(252, "2.0.0", external_form(path->address));
}

Task<Reply> SmtpSession::quit(std::string_view)
{
    closing_ = true;
    co_return Reply(221, "2.0.0", "Bye");
}

Task<Reply> SmtpSession::unknown(std::string_view arguments)
{
    const MatchList& noops = service_.tables.noop_commands;
    const MatchList& forbidden = service_.tables.forbidden_commands;
    const auto find_noop = [&] { return static_cast<bool>(noops.match(verb_)); };
    const bool is_noop = co_await ask(noops.may_block(), find_noop);
    if (is_noop)
        co_return Reply(250, "2.0.0", "Ok");
    const auto find_forbidden = [&] { return static_cast<bool>(forbidden.match(verb_)); };
    const bool is_forbidden = co_await ask(forbidden.may_block(), find_forbidden);
    if (is_forbidden) {
        closing_ = true;
        log::warn(fmt::format("non-SMTP command from {}: {} {}", label(), verb_, arguments));
        co_return Reply(221, "2.7.0", "Error: this is a mail server");
    }
    if (milters_) {
        const AccessSubject about = subject("UNKNOWN");
        const std::string line = std::string(verb_) + (arguments.empty() ? "" : " ") + std::string(arguments);
        const Verdict verdict = co_await milters_->unknown(about, label(), line);
        if (verdict.refused())
            co_return verdict.reply();
    }
    co_return Reply(500, "5.5.2", "Error: command not recognized");
}

} // namespace bulkhead
