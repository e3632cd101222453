// BDAT (RFC 3030, without BINARYMIME): the message in pieces whose sizes are told.  Whatever
// is wrong with a piece, its bytes are taken from the stream, so that client and server agree
// on what is a command; a piece whose size cannot be known ends the session.
#include "session.h"

#include "async/wait.h"
#include "base/text.h"
#include "log/log.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr unsigned reads_per_turn = 16;

struct ChunkSize {
    std::uint64_t bytes = 0;
    bool last = false;
};

std::optional<ChunkSize> parse_chunk(std::string_view arguments)
{
    const auto words = split(arguments, " \t");
    if (words.empty() || words.size() > 2 || (words.size() == 2 && !equals_ignoring_case(words[1], "LAST")))
        return std::nullopt;
    const auto bytes = parse_unsigned(words[0]);
    if (!bytes || *bytes > std::numeric_limits<std::int64_t>::max())
        return std::nullopt;
    return ChunkSize{*bytes, words.size() == 2};
}

} // namespace

Task<Reply> SmtpSession::bdat(std::string_view arguments)
{
    if (!is_offered(Offer::chunking))
        co_return Reply(521, "5.5.1", "Error: command not implemented");
    const auto chunk = parse_chunk(arguments);
    if (!chunk)
        co_return Reply(521, "5.5.4", "Syntax: BDAT count [LAST]");
    data_deadline_ = SteadyClock::now() + service_.params.timeout();
    extend_deadline(0);
    Reply reply = co_await receive_chunk(chunk->bytes, chunk->last);
    stream_.clear_deadline();
    if (reply.code == 0 || closing_)
        co_return reply;
    const bool failed = !reply.ok();
    if (failed || chunk->last)
        reset_transaction();
    // The pieces that the client has on the way belong to the message that is refused.
    if (failed && !chunk->last)
        chunks_ = Chunks::failed;
    co_return reply;
}

// No code: the client has gone.
Task<Reply> SmtpSession::receive_chunk(std::uint64_t size, bool last)
{
    Reply refusal;
    if (chunks_ == Chunks::failed)
        refusal = Reply(551, "5.0.0", fmt::format("Discarded {} bytes after earlier error", size));
    else if (size == 0 && !last)
        refusal = Reply(551, "5.7.1", "Null BDAT request");
    else if (chunks_ == Chunks::none)
        refusal = co_await begin_chunks();
    const auto limit = static_cast<std::uint64_t>(service_.params.message_size());
    if (refusal.code == 0 && limit > 0 && size > limit - std::min(mail_bytes_, limit))
        refusal = refuse(subject("BDAT"), Reply(552, "5.3.4", "Chunk exceeds message size limit"));
    if (refusal.code != 0) {
        const bool dropped = co_await drop_chunk(size);
        co_return dropped ? refusal : Reply();
    }
    mail_bytes_ += size;
    MessageContent& content = *transaction_->content;
    std::uint64_t rest = size;
    for (unsigned reads = 1; rest > 0; ++reads) {
        const std::string_view bytes = stream_.buffered().substr(0, rest);
        if (bytes.empty()) {
            const auto more = co_await stream_.fill();
            if (more)
                continue;
            lose_client_in("BDAT", mail_bytes_ - rest, more.error());
            co_return Reply();
        }
        const std::size_t used = content.reader.feed(bytes, content.writer);
        rest -= used;
        stream_.consume(used);
        co_await take_in(used);
        if (reads % reads_per_turn == 0)
            co_await yield_turn();
    }
    if (!last)
        co_return Reply(250, "2.0.0", fmt::format("Ok: {} bytes", size));
    content.reader.finish(content.writer);
    co_return co_await finish_message();
}

// The first piece is what DATA is for a message in one.
Task<Reply> SmtpSession::begin_chunks()
{
    const std::string_view command = "BDAT";
    Reply reply = co_await admit_content(command);
    if (reply.code != 0)
        co_return reply;
    reply = co_await begin_filtered();
    if (reply.code != 0)
        co_return reply;
    chunks_ = Chunks::open;
    mail_bytes_ = 0;
    begin_content(DataReader::Framing::chunks);
    co_return Reply();
}

Task<bool> SmtpSession::drop_chunk(std::uint64_t size)
{
    std::uint64_t rest = size;
    for (unsigned reads = 1; rest > 0; ++reads) {
        const std::string_view bytes = stream_.buffered().substr(0, rest);
        if (bytes.empty()) {
            const auto more = co_await stream_.fill();
            if (more)
                continue;
            lose_client_in("BDAT", size - rest, more.error());
            co_return false;
        }
        const std::size_t used = bytes.size();
        rest -= used;
        stream_.consume(used);
        extend_deadline(used);
        if (reads % reads_per_turn == 0)
            co_await yield_turn();
    }
    co_return true;
}

} // namespace bulkhead
