#include "session.h"

#include "async/wait.h"
#include "base/text.h"
#include "log/log.h"
#include "mail/address.h"
#include "mail/dsn.h"
#include "spool/size_record.h"
#include "table/ask.h"

#include <algorithm>

#include <fmt/format.h>

namespace bulkhead
{

using ipc::DeliveryOutcome;

namespace
{

constexpr std::size_t reply_line_limit = 2048;
constexpr int service_closing = 421; // RFC 5321, 3.8: may be the answer to anything

// What we were doing, in the words of log lines.
constexpr std::string_view receiving_greeting = "receiving the initial server greeting";
constexpr std::string_view performing_ehlo = "performing the EHLO handshake";
constexpr std::string_view performing_lhlo = "performing the LHLO handshake";
constexpr std::string_view performing_helo = "performing the HELO handshake";
constexpr std::string_view sending_starttls = "sending STARTTLS";
constexpr std::string_view sending_reset = "sending RSET";
constexpr std::string_view sending_xforward = "sending XFORWARD";
constexpr std::string_view sending_mail = "sending MAIL FROM";
constexpr std::string_view sending_rcpt = "sending RCPT TO";
constexpr std::string_view sending_data = "sending DATA command";
constexpr std::string_view sending_text = "sending message body";
constexpr std::string_view sending_end = "sending end of data -- message may be sent more than once";

bool is_yes(const PeerReply& reply)
{
    return reply.code / 100 == 2;
}
bool is_go_ahead(const PeerReply& reply)
{
    return reply.code / 100 == 3;
}

bool needs_smtputf8(const ipc::DeliveryRequest& request)
{
    return (request.send_options & send_option::smtputf8_requested) &&
           (request.send_options &
            (send_option::smtputf8_header | send_option::smtputf8_sender | send_option::smtputf8_recipient));
}

} // namespace

// The state of one transaction: which recipients are settled, and what may follow.
struct SmtpSession::Transaction {
    Transaction(const OutgoingEnvelope& mail, const Peer& to, bool on_kept_connection)
        : envelope(mail), peer(to), reused(on_kept_connection), statuses(mail.recipients.size()),
          accepted(mail.recipients.size(), false)
    {
    }

    const OutgoingEnvelope& envelope;
    const Peer& peer;
    bool reused;
    std::vector<std::optional<DeliveryStatus>> statuses;
    std::vector<bool> accepted;
    bool mail_accepted = false;
    bool go_ahead = false;      // the server waits for the text
    bool has_sent_text = false; // some of it
    bool over = false;          // nothing more to say on this connection
    bool stale = false;
    std::string block; // the first block of the text, fetched while the server thinks
    bool has_block = false;
    bool has_more = true;

    bool any_accepted() const { return std::ranges::find(accepted, true) != accepted.end(); }

    void settle_rest(const DeliveryStatus& status)
    {
        for (auto& one : statuses)
            if (!one)
                one = status;
        accepted.assign(accepted.size(), false);
    }

    // The connection is of no use any more.
    void broke(const Error& error, std::string_view doing)
    {
        over = true;
        // A kept connection may have been closed before we spoke: that is no news about
        // the message, as long as none of it was sent.
        stale = reused && !has_sent_text && error.fault == Fault::closed;
        settle_rest(broken_conversation(peer, error, doing));
    }

    // The server must not get an end mark: the connection ends here.
    void cannot_read(const Error& error)
    {
        over = true;
        settle_rest(
            DeliveryStatus(DeliveryOutcome::deferred, "4.3.0", "cannot read message: " + error.context));
    }

    // 421: the server closes whatever the command was.
    bool closed_by(const PeerReply& reply, std::string_view command)
    {
        if (reply.code != service_closing)
            return false;
        over = true;
        stale = reused && !has_sent_text;
        settle_rest(refused_command(peer, reply, command));
        return true;
    }

    // A server that cannot even forget is not where we believe it to be.
    bool was_reset(const PeerReply& reply)
    {
        over = stale = !is_yes(reply);
        return !over;
    }

    void take_mail(const PeerReply& reply)
    {
        if (closed_by(reply, "MAIL FROM"))
            return;
        mail_accepted = is_yes(reply);
        if (mail_accepted)
            return;
        // Some servers limit the messages of one connection: a fresh one decides.
        if (reused && !reply.permanent()) {
            over = stale = true;
            return;
        }
        settle_rest(refused_command(peer, reply, "MAIL FROM"));
    }

    void take_rcpt(std::size_t index, const PeerReply& reply)
    {
        if (closed_by(reply, "RCPT TO") || statuses[index])
            return;
        if (!is_yes(reply))
            statuses[index] = refused_command(peer, reply, "RCPT TO");
        else if (envelope.is_probe())
            statuses[index] = bulkhead::accepted(peer, reply);
        else
            accepted[index] = true;
    }

    void take_data(const PeerReply& reply)
    {
        if (closed_by(reply, "DATA"))
            return;
        go_ahead = is_go_ahead(reply);
        if (!go_ahead)
            settle_accepted(refused_command(peer, reply, "DATA"));
    }

    // LMTP (RFC 2033, 4.2): each accepted recipient has a reply of its own.
    std::optional<std::size_t> next_accepted() const
    {
        const auto next = std::ranges::find(accepted, true);
        if (next == accepted.end())
            return std::nullopt;
        return static_cast<std::size_t>(next - accepted.begin());
    }

    void settle_one(std::size_t index, const DeliveryStatus& status)
    {
        statuses[index] = status;
        accepted[index] = false;
    }

    void settle_accepted(const DeliveryStatus& status)
    {
        for (std::size_t i = 0; i < statuses.size(); ++i)
            if (accepted[i])
                statuses[i] = status;
        accepted.assign(accepted.size(), false);
    }
};

SmtpSession::SmtpSession(UniqueFd fd, Peer peer, const SmtpParams& params)
    : stream_(std::move(fd)), peer_(std::move(peer)), params_(params), opened_(SteadyClock::now())
{
    habits_.discarded = params.discard_ehlo_keywords();
}

void SmtpSession::say(std::string command)
{
    if (log::verbosity() > 0)
        log::trace(fmt::format("> {}: {}", peer_.label(), command));
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
        if (log::verbosity() > 0)
            log::trace(fmt::format("< {}: {}", peer_.label(),
                                   line->text.starts_with("334") ? "334 ***" : printable(line->text)));
        std::string text(line->text);
        if (habits_.replies)
            text = co_await filtered(std::move(text));
        const auto complete = parser_.add_line(text);
        if (!complete)
            co_return complete.error();
        if (*complete)
            co_return parser_.take();
    }
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

// Why this server cannot have this message at all, known before a word is said.
std::optional<DeliveryStatus> SmtpSession::unsuitable(const ipc::DeliveryRequest& request) const
{
    if (capabilities_.size_limit > 0 && request.content_length > 0 &&
        static_cast<std::uint64_t>(request.content_length) > capabilities_.size_limit)
        return message_too_large(peer_, request.content_length, capabilities_.size_limit);
    if (needs_smtputf8(request) && !capabilities_.smtputf8)
        return smtputf8_not_offered(peer_);
    return std::nullopt;
}

std::string SmtpSession::envelope_address(const std::string& address) const
{
    return params_.quote_envelope() ? external_form(address) : address;
}

std::string SmtpSession::mail_command(const OutgoingEnvelope& envelope) const
{
    const ipc::DeliveryRequest& request = *envelope.request;
    std::string command = fmt::format("MAIL FROM:<{}>", envelope_address(envelope.sender()));
    if (capabilities_.size && request.content_length > 0)
        command += fmt::format(" SIZE={}", request.content_length);
    if (capabilities_.eightbitmime && request.encoding == "8bit")
        command += " BODY=8BITMIME";
    if (capabilities_.smtputf8 && needs_smtputf8(request))
        command += " SMTPUTF8";
    if (capabilities_.dsn) {
        const std::string_view ret = request.ret_flags == dsn_ret::full      ? ret_text(Ret::full)
                                     : request.ret_flags == dsn_ret::headers ? ret_text(Ret::headers)
                                                                             : "";
        if (!ret.empty())
            command += fmt::format(" RET={}", ret);
        if (!request.envelope_id.empty())
            command += fmt::format(" ENVID={}", encode_xtext(request.envelope_id));
    }
    return command;
}

std::string SmtpSession::rcpt_command(const OutgoingEnvelope& envelope, std::size_t index) const
{
    const ipc::DeliveryRecipient& recipient = envelope.request->recipients[index];
    std::string command = fmt::format("RCPT TO:<{}>", envelope_address(envelope.recipient(index)));
    if (capabilities_.dsn) {
        if (recipient.notify != 0)
            command += fmt::format(" NOTIFY={}", notify_text(recipient.notify));
        if (!recipient.dsn_original.empty())
            command += fmt::format(" ORCPT={}", encode_orcpt(recipient.dsn_original));
    }
    return command;
}

// Who gave us the message, as far as the server wants to know: at most two commands, each far
// below the limit of a line.
std::vector<std::string> SmtpSession::xforward_commands(const ipc::DeliveryRequest& request) const
{
    struct Attribute {
        std::string_view word;
        std::string_view name; // in the queue file
        std::size_t limit;
    };
    constexpr Attribute attributes[] = {
        {"NAME", "log_client_name", 100},  {"ADDR", "log_client_address", 100},
        {"PORT", "log_client_port", 10},   {"PROTO", "log_protocol_name", 50},
        {"HELO", "log_helo_name", 100},    {"IDENT", "log_ident", 50},
        {"SOURCE", "rewrite_context", 20},
    };
    std::vector<std::string> commands;
    std::string command;
    for (const Attribute& attribute : attributes) {
        if (attribute.word == "PROTO" && !command.empty())
            commands.push_back("XFORWARD" + std::exchange(command, {}));
        if (!capabilities_.offers_xforward(attribute.word))
            continue;
        std::string_view value;
        if (attribute.word == "SOURCE")
            value = request.rewrite_context == "local" ? "LOCAL" : "REMOTE";
        else
            for (const auto& [name, text] : request.attributes)
                if (name == attribute.name)
                    value = text;
        if (value.empty())
            value = "[UNAVAILABLE]";
        command += fmt::format(" {}={}", attribute.word, encode_xtext(value.substr(0, attribute.limit)));
    }
    if (!command.empty())
        commands.push_back("XFORWARD" + command);
    return commands;
}

Task<> SmtpSession::forward_client(Transaction& transaction)
{
    if (!params_.send_xforward() || capabilities_.xforward.empty())
        co_return;
    for (std::string& command : xforward_commands(*transaction.envelope.request)) {
        const auto reply = co_await ask(std::move(command), params_.xforward_timeout());
        if (!reply) {
            transaction.broke(reply.error(), sending_xforward);
            co_return;
        }
        if (transaction.closed_by(*reply, "XFORWARD"))
            co_return;
        if (!is_yes(*reply))
            log::warn(fmt::format("host {} said: {} (in reply to XFORWARD)", peer_.label(), reply->text));
    }
}

// PIPELINING (RFC 2920): the whole envelope in one write; then one reply for each
// command, whatever the earlier ones were.
Task<> SmtpSession::send_envelope(Transaction& transaction, MessageText& text)
{
    const OutgoingEnvelope& envelope = transaction.envelope;
    const bool reset_first = needs_reset_;
    const bool with_data = !envelope.is_probe();
    if (reset_first)
        say("RSET");
    say(mail_command(envelope));
    for (const std::size_t index : envelope.recipients)
        say(rcpt_command(envelope, index));
    if (with_data)
        say("DATA");
    needs_reset_ = true;
    stream_.set_deadline(SteadyClock::now() + params_.mail_timeout());
    const auto sent = co_await stream_.flush();
    if (!sent) {
        transaction.broke(sent.error(), sending_mail);
        co_return;
    }
    if (with_data) {
        const auto more = co_await text.read(transaction.block);
        if (!more) {
            transaction.cannot_read(more.error());
            co_return;
        }
        transaction.has_block = true;
        transaction.has_more = *more;
    }

    if (reset_first) {
        const auto reply = co_await read_reply(params_.rset_timeout());
        if (!reply) {
            transaction.broke(reply.error(), sending_reset);
            co_return;
        }
        if (!transaction.was_reset(*reply))
            co_return;
    }
    const auto mail_reply = co_await read_reply(params_.mail_timeout());
    if (!mail_reply) {
        transaction.broke(mail_reply.error(), sending_mail);
        co_return;
    }
    transaction.take_mail(*mail_reply);
    for (std::size_t i = 0; i < envelope.recipients.size() && !transaction.over; ++i) {
        const auto reply = co_await read_reply(params_.rcpt_timeout());
        if (!reply) {
            transaction.broke(reply.error(), sending_rcpt);
            co_return;
        }
        transaction.take_rcpt(i, *reply);
    }
    if (!with_data || transaction.over)
        co_return;
    const auto data_reply = co_await read_reply(params_.data_init_timeout());
    if (!data_reply)
        transaction.broke(data_reply.error(), sending_data);
    else
        transaction.take_data(*data_reply);
}

// A server without PIPELINING: one command, one reply, and none that cannot help.
Task<> SmtpSession::send_envelope_in_steps(Transaction& transaction)
{
    const OutgoingEnvelope& envelope = transaction.envelope;
    if (needs_reset_) {
        const auto reply = co_await ask("RSET", params_.rset_timeout());
        if (!reply) {
            transaction.broke(reply.error(), sending_reset);
            co_return;
        }
        if (!transaction.was_reset(*reply))
            co_return;
    }
    std::string mail = mail_command(envelope);
    const auto mail_reply = co_await ask(std::move(mail), params_.mail_timeout());
    if (!mail_reply) {
        transaction.broke(mail_reply.error(), sending_mail);
        co_return;
    }
    transaction.take_mail(*mail_reply);
    if (transaction.over || !transaction.mail_accepted)
        co_return;
    needs_reset_ = true;
    for (std::size_t i = 0; i < envelope.recipients.size() && !transaction.over; ++i) {
        std::string rcpt = rcpt_command(envelope, envelope.recipients[i]);
        const auto reply = co_await ask(std::move(rcpt), params_.rcpt_timeout());
        if (!reply) {
            transaction.broke(reply.error(), sending_rcpt);
            co_return;
        }
        transaction.take_rcpt(i, *reply);
    }
    if (transaction.over || !transaction.any_accepted())
        co_return;
    const auto reply = co_await ask("DATA", params_.data_init_timeout());
    if (!reply)
        transaction.broke(reply.error(), sending_data);
    else
        transaction.take_data(*reply);
}

// A reply that came in while we were still sending: servers say so when they have had
// enough of a message, and close.  The stream is beyond use then, its socket is not.
std::optional<PeerReply> SmtpSession::last_words()
{
    const std::string words(stream_.arrived());
    for (const std::string_view line : split(words, "\n")) {
        const auto complete = parser_.add_line(line);
        if (!complete)
            return std::nullopt;
        if (*complete)
            return parser_.take();
    }
    return std::nullopt;
}

// The block that was fetched early, then those behind it; false with the last.
Task<Result<bool>> SmtpSession::next_block(Transaction& transaction, MessageText& text)
{
    if (!transaction.has_block)
        co_return co_await text.read(stream_.output());
    stream_.write(transaction.block);
    transaction.has_block = false;
    co_return transaction.has_more;
}

// The last lines first, and the end mark after a pause.  A failure shows when that is sent.
Task<> SmtpSession::hold_back_end()
{
    constexpr std::string_view mark = ".\r\n";
    std::string& out = stream_.output();
    if (!out.ends_with(mark))
        co_return;
    out.resize(out.size() - mark.size());
    stream_.set_deadline(SteadyClock::now() + params_.data_xfer_timeout());
    (void)co_await stream_.flush();
    const Milliseconds pause = params_.pix_delay();
    co_await sleep_for(pause);
    stream_.write(mark);
}

Task<> SmtpSession::send_text(Transaction& transaction, MessageText& text)
{
    const SteadyTime begun = SteadyClock::now();
    const auto rate = static_cast<std::size_t>(params_.min_data_rate());
    std::size_t bytes = 0;
    for (bool more = true; more;) {
        const auto block = co_await next_block(transaction, text);
        if (!block) {
            transaction.cannot_read(block.error());
            co_return;
        }
        more = *block;
        transaction.has_sent_text = true;
        bytes += stream_.unsent();
        if (!more && delays_end_)
            co_await hold_back_end();
        // One limit for each block, or one for all with more time for more bytes.
        const Seconds extra{params_.per_request_deadline() ? bytes / rate : 0};
        stream_.set_deadline((params_.per_request_deadline() ? begun : SteadyClock::now()) +
                             params_.data_xfer_timeout() + extra);
        const auto sent = co_await stream_.flush();
        if (!sent) {
            const auto reply = last_words();
            if (reply && !is_yes(*reply))
                transaction.settle_accepted(refused_command(peer_, *reply, "end of DATA"));
            transaction.broke(sent.error(), sending_text);
            co_return;
        }
    }
    if (params_.is_lmtp()) {
        co_await take_ends(transaction);
    } else {
        co_await take_end(transaction);
    }
}

Task<> SmtpSession::take_ends(Transaction& transaction)
{
    for (auto next = transaction.next_accepted(); next; next = transaction.next_accepted()) {
        const auto reply = co_await read_reply(params_.data_done_timeout());
        if (!reply) {
            transaction.broke(reply.error(), sending_end);
            co_return;
        }
        needs_reset_ = false;
        if (is_yes(*reply)) {
            DeliveryStatus status = accepted(peer_, *reply);
            status.success_notice_passed_on = capabilities_.dsn;
            if (!capabilities_.dsn && params_.assume_final())
                status.action = "delivered";
            transaction.settle_one(*next, status);
        } else {
            transaction.settle_one(*next, refused_command(peer_, *reply, "end of DATA"));
        }
        if (reply->code == service_closing) {
            transaction.over = true;
            transaction.settle_accepted(refused_command(peer_, *reply, "end of DATA"));
        }
    }
}

Task<> SmtpSession::take_end(Transaction& transaction)
{
    const auto reply = co_await read_reply(params_.data_done_timeout());
    if (!reply) {
        transaction.broke(reply.error(), sending_end);
        co_return;
    }
    needs_reset_ = false;
    transaction.over = reply->code == service_closing;
    refused_text_ = !is_yes(*reply);
    if (is_yes(*reply)) {
        DeliveryStatus status = accepted(peer_, *reply);
        status.success_notice_passed_on = capabilities_.dsn;
        transaction.settle_accepted(status);
    } else {
        transaction.settle_accepted(refused_command(peer_, *reply, "end of DATA"));
    }
}

// The server wants the text of a message that has no recipient left: it gets none.  LMTP has
// no reply to that.
Task<> SmtpSession::end_empty_text(Transaction& transaction)
{
    if (params_.is_lmtp()) {
        transaction.over = true;
        co_return;
    }
    std::string end = ".";
    const auto reply = co_await ask(std::move(end), params_.data_done_timeout());
    needs_reset_ = false;
    transaction.over = !reply || reply->code == service_closing;
}

Task<TransactionResult> SmtpSession::transact(const OutgoingEnvelope& envelope, MessageText& text)
{
    Transaction transaction(envelope, peer_, uses_ > 0);
    ++uses_;
    if (const auto reason = unsuitable(*envelope.request)) {
        transaction.settle_rest(*reason);
    } else {
        co_await forward_client(transaction);
        if (transaction.over) {
            // nothing more to say
        } else if (capabilities_.pipelining) {
            co_await send_envelope(transaction, text);
        } else {
            co_await send_envelope_in_steps(transaction);
        }
        if (transaction.go_ahead && !transaction.over) {
            if (transaction.any_accepted()) {
                co_await send_text(transaction, text);
            } else {
                co_await end_empty_text(transaction);
            }
        }
        // Bytes that nobody asked for: the next reply would be read wrongly.
        in_step_ = !transaction.over && stream_.buffered().empty() && !parser_.in_progress();
    }

    TransactionResult result;
    result.stale = transaction.stale;
    for (auto& status : transaction.statuses)
        result.statuses.push_back(status ? *std::move(status)
                                         : DeliveryStatus(DeliveryOutcome::deferred, "4.3.0", "no answer"));
    co_return result;
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
