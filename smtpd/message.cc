// DATA behind the 354: reading the message, storing it, and the one reply that says
// who is responsible for it from now on.
#include "session.h"

#include "content.h"
#include "login.h"
#include "milters.h"
#include "server_tls.h"

#include "async/wait.h"
#include "log/log.h"
#include "smtp/data_reader.h"
#include "spool/record.h"

#include <algorithm>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

// Reads that go on without a pause before other sessions get their turn.
constexpr unsigned reads_per_turn = 16;

constexpr std::size_t usual_content = 8 * 1024; // bytes

} // namespace

// Ends the envelope and begins the text: M and our Received: header.
void SmtpSession::begin_content(DataReader::Framing framing)
{
    MessageSink& sink = *transaction_->sink;
    const std::string& filter = service_.params.content_filter();
    if (!filter.empty() && sink.wants_client_attributes() && sink.filter() == nullptr)
        append_record(sink.records(), RecordType::filter, filter);
    const auto line_limit = static_cast<std::size_t>(service_.params.line_limit());
    sink.records().reserve(sink.records().size() + usual_content);
    transaction_->content = std::make_unique<MessageContent>(line_limit, framing, &sink.records());
    append_record(sink.records(), RecordType::message_start, {});
    for (const std::string& line : transaction_->actions.prepend)
        append_text(sink.records(), line);
    if (!sink.wants_client_attributes())
        return;
    // RFC 3848: what a header tells of the transmission.
    const std::string transmission = std::string(protocol()) + (tls_ ? "S" : "") + (login_ ? "A" : "");
    const ClientFacts client = client_facts(transmission, false);
    ReceivedFacts facts;
    if (tls_ && service_.params.tls.received_header())
        facts.comments = received_lines(*tls_, service_.tls->asks_certificate());
    if (login_ && service_.params.sasl.header())
        facts.comments.push_back(fmt::format("(Authenticated sender: {})", shown_login(login_->user)));
    facts.host = service_.myhostname;
    facts.mail_name = service_.mail_name;
    facts.queue_id = sink.queue_id();
    if (transaction_->recipients == 1)
        facts.recipient = transaction_->recipient;
    facts.time = transaction_->arrival.seconds;
    append_received(sink.records(), client, facts);
}

// What became of bytes that the reader has taken: too many of them, or the sink is gone, and
// nothing stays on disk; else they go on.
Task<> SmtpSession::take_in(std::size_t bytes)
{
    extend_deadline(bytes);
    Transaction& transaction = *transaction_;
    MessageContent& content = *transaction.content;
    const auto limit = static_cast<std::uint64_t>(service_.params.message_size());
    content.too_big = content.too_big || (limit > 0 && content.reader.size() > limit);
    if ((content.too_big || transaction.broken) && transaction.sink) {
        content.writer.detach();
        transaction.sink.reset(); // breaks off
    } else if (transaction.sink && transaction.sink->wants_sending()) {
        const auto sent = co_await transaction.sink->send_some();
        if (!sent) {
            log::warn(fmt::format("{}: {}", transaction.queue_id, sent.error().context));
            transaction.broken = true;
        }
    }
}

// A message that keeps a decent pace earns its time.
void SmtpSession::extend_deadline(std::size_t bytes)
{
    const SmtpdParams& params = service_.params;
    if (!params.request_deadline())
        return;
    const Milliseconds earned(bytes * 1000 / static_cast<unsigned>(params.min_data_rate()));
    data_deadline_ = std::min<SteadyTime>(data_deadline_ + earned, SteadyClock::now() + params.timeout());
    stream_.set_deadline(data_deadline_);
}

// The client is lost, or silent, in the middle of its message.
void SmtpSession::lose_client_in(std::string_view command, std::uint64_t bytes, const Error& error)
{
    const std::string where = fmt::format("{} ({} bytes)", command, bytes);
    where_ = where;
    end_with(error);
    where_ = command;
}

// Whatever happens to the message meanwhile, the text is read to its end, so that
// client and server agree on what is a command.
Task<Reply> SmtpSession::receive_message()
{
    begin_content(DataReader::Framing::dots);
    write(Reply(354, "End data with <CR><LF>.<CR><LF>"));
    MessageContent& content = *transaction_->content;
    data_deadline_ = SteadyClock::now() + service_.params.timeout();
    extend_deadline(0);
    for (unsigned reads = 1; !content.reader.finished(); ++reads) {
        const std::string_view bytes = stream_.buffered();
        if (bytes.empty()) {
            const auto more = co_await stream_.fill();
            if (more)
                continue;
            lose_client_in("DATA", content.reader.size(), more.error());
            co_return Reply();
        }
        const std::size_t used = content.reader.feed(bytes, content.writer);
        stream_.consume(used);
        co_await take_in(used);
        if (reads % reads_per_turn == 0)
            co_await yield_turn();
    }
    stream_.clear_deadline();
    stream_.rest();
    co_return co_await finish_message();
}

Task<Reply> SmtpSession::finish_message()
{
    where_ = "END-OF-MESSAGE";
    const SmtpdParams& params = service_.params;
    Transaction& transaction = *transaction_;
    const DataReader& reader = transaction.content->reader;
    transaction.size = reader.size();
    const AccessSubject about = subject("END-OF-MESSAGE");
    if (params.message_size() > 0 && reader.size() > static_cast<std::uint64_t>(params.message_size()))
        co_return refuse(about, Reply(552, "5.3.4", "Error: message file too big"));
    bool bad_newline = reader.saw_bare_newline();
    if (bad_newline)
        bad_newline = co_await service_.policy.forbids_bare_newline(peer_);
    if (bad_newline) {
        closing_ = true;
        const Reply reply(params.bare_newline_code(), "5.5.2",
                          service_.myhostname + " Error: bare <LF> received");
        co_return refuse(about, reply);
    }
    const Verdict verdict = co_await check(Step::end_of_data, about);
    if (verdict.refused())
        co_return refuse(about, verdict.reply());
    if (!transaction.sink || transaction.broken)
        co_return Reply(451, "4.3.0", "Error: queue file write error");

    if (transaction.sink->filter() != nullptr)
        co_return co_await finish_filtered(transaction.actions.discard);
    append_record(transaction.sink->records(), RecordType::extracted_start, {});
    append_actions(transaction.sink->records(), transaction.actions);
    append_record(transaction.sink->records(), RecordType::end, {});
    unsigned flags = transaction.actions.hold ? ipc::cleanup_flag::hold : 0;
    if (transaction.actions.discard)
        flags |= ipc::cleanup_flag::discard;
    if (milters_)
        milters_->lend_to(*transaction.sink);
    const auto result = co_await transaction.sink->finish(flags);
    if (milters_ && result)
        milters_->take_back(result->milters);
    if (!result) {
        log::warn(fmt::format("{}: {}", transaction.queue_id, result.error().context));
        co_return Reply(451, "4.3.0", "Error: queue file write error");
    }
    if (result->ok()) {
        errors_ = 0;
        junk_ = 0;
        const std::string sum = chunks_ == Chunks::none ? "" : fmt::format("{} bytes ", reader.size());
        co_return Reply(250, "2.0.0", fmt::format("Ok: {}queued as {}", sum, transaction.queue_id));
    }
    if (result->code != 0) // of a milter
        co_return milter_reply(*result);
    const ipc::CleanupVerdict refusal = ipc::verdict_of(*result);
    // A status of cleanup's own may make a refusal temporary, never a trouble final.
    const bool own_status = !result->dsn.empty() && (refusal.code >= 500 || result->dsn.starts_with('4'));
    const std::string status = own_status ? result->dsn : std::string(refusal.dsn);
    const int code = status.starts_with('4') && refusal.code >= 500 ? 450 : refusal.code;
    co_return Reply(code, status, result->reason.empty() ? std::string(refusal.text) : result->reason);
}

} // namespace bulkhead
