#include "ipc/cleanup.h"

#include "ipc/trace.h"

#include <fmt/format.h>

#include <utility>

namespace bulkhead::ipc
{

Message encode_cleanup_open(unsigned flags)
{
    Message message(Kind::cleanup_open);
    message.add("flags", static_cast<std::int64_t>(flags));
    return message;
}

Message encode_cleanup_opened(std::string_view queue_id)
{
    Message message(Kind::ok);
    message.add("queue_id", queue_id);
    return message;
}

Message encode_cleanup_not_opened(const Error& error)
{
    Message message = failure(error.context);
    if (error.number == ENOSPC || error.number == EDQUOT)
        message.add("dsn", disk_full_dsn);
    return message;
}

Message encode(const CleanupResult& result)
{
    Message message(Kind::ok);
    message.add("status", static_cast<std::int64_t>(result.status))
        .add("reason", result.reason)
        .add("dsn", result.dsn);
    if (result.code != 0)
        message.add("code", static_cast<std::int64_t>(result.code));
    if (!result.milters.empty())
        message.add("milters", result.milters);
    if (!result.next_id.empty())
        message.add("next_id", result.next_id);
    return message;
}

Message encode_cleanup_finish(unsigned flags)
{
    Message message(Kind::cleanup_finish);
    if (flags != 0)
        message.add("flags", flags);
    return message;
}

unsigned decode_cleanup_finish(const Message& message)
{
    const auto flags = message.number("flags");
    return flags ? static_cast<unsigned>(*flags) & (cleanup_flag::hold | cleanup_flag::discard) : 0;
}

Result<unsigned> decode_cleanup_open(const Message& message)
{
    TRY(const auto flags, message.number("flags"));
    return static_cast<unsigned>(flags);
}

Result<CleanupResult> decode_cleanup_result(const Message& message)
{
    TRY(const auto status, message.number("status"));
    TRY(const auto reason, message.text("reason"));
    TRY(const auto dsn, message.text("dsn"));
    CleanupResult result;
    result.status = static_cast<unsigned>(status);
    result.reason = reason;
    result.dsn = dsn;
    result.milters = message.find("milters").value_or("");
    result.next_id = message.find("next_id").value_or("");
    if (message.find("code")) {
        TRY(const auto code, message.number("code"));
        if (code < 400 || code > 599)
            return Error{Fault::malformed, "bad reply code"};
        result.code = static_cast<int>(code);
    }
    return result;
}

Message encode_cleanup_milters(const std::vector<std::string>& states)
{
    Message message(Kind::cleanup_milters);
    for (const std::string& state : states)
        message.add("milter", state);
    return message;
}

Result<std::vector<std::string>> decode_cleanup_milters(const Message& message)
{
    std::vector<std::string> states;
    Message::Walk walk = message.walk();
    while (const auto one = walk.next()) {
        if (one->name != "milter" || states.size() >= max_lent_milters)
            return Error{Fault::malformed, "bad list of milters"};
        states.emplace_back(one->value);
    }
    return states;
}

// The descriptors go with the frame that names them.
void CleanupStream::lend_milters(const std::vector<std::string>& states, std::vector<int> descriptors)
{
    frame_records();
    descriptors_ = std::move(descriptors);
    const Message message = encode_cleanup_milters(states);
    message.encode(connection_.stream().output());
}

CleanupVerdict verdict_of(const CleanupResult& result)
{
    struct Row {
        unsigned bit;
        CleanupVerdict verdict;
    };
    // The first that applies: what can be cured by trying later comes after what cannot,
    // except that a broken table or disk never makes a refusal final.
    static constexpr Row rows[] = {
        {cleanup_status::temporary, {451, "4.3.0", "Error: queue file write error"}},
        {cleanup_status::write_error, {451, "4.3.0", "Error: queue file write error"}},
        {cleanup_status::too_big, {552, "5.3.4", "Error: message file too big"}},
        {cleanup_status::too_many_hops, {554, "5.4.0", "Error: too many hops"}},
        {cleanup_status::rejected, {550, "5.7.1", "Error: message content rejected"}},
        {cleanup_status::no_recipient, {554, "5.5.1", "Error: no valid recipients"}},
        {cleanup_status::bad, {451, "4.3.0", "Error: internal error"}},
    };
    if ((result.status & cleanup_status::write_error) && result.dsn == disk_full_dsn)
        return {452, disk_full_dsn, "Insufficient system storage"};
    for (const Row& row : rows)
        if (result.status & row.bit)
            return row.verdict;
    return {451, "4.3.0", "Error: queue file write error"};
}

static Task<Result<std::string>> ask_for_id(Stream& stream, const Message& request)
{
    CO_TRY_VOID(co_await send(stream, request));
    CO_TRY(const Message answer, co_await receive(stream));
    if (answer.kind() != Kind::ok) {
        const bool disk_full = answer.find("dsn") == disk_full_dsn;
        co_return Error(Fault::broken, std::string(answer.find("reason").value_or("cleanup refused")),
                        disk_full ? ENOSPC : 0);
    }
    const auto id = answer.text("queue_id");
    if (!id)
        co_return id.error();
    co_return std::string(*id);
}

// Nothing is sent yet: the request goes with the records.
CleanupStream CleanupStream::begin_ahead(Service& cleanup, Service::Connection connection, unsigned flags)
{
    CleanupStream stream(cleanup, std::move(connection));
    stream.queue_id_ = std::exchange(stream.connection_.note(), {});
    const Message request = encode_cleanup_open(flags | cleanup_flag::ahead);
    trace_sent(cleanup.path(), request);
    request.encode(stream.connection_.stream().output());
    return stream;
}

Task<Result<CleanupStream>> CleanupStream::open(Service& cleanup, unsigned flags)
{
    auto connection = cleanup.connect();
    if (!connection)
        co_return Error(Fault::broken, connection.error().context);
    if (!connection->note().empty() && (flags & cleanup_flag::client_milters) == 0)
        co_return begin_ahead(cleanup, std::move(*connection), flags);
    const Message request = encode_cleanup_open(flags);
    trace_sent(cleanup.path(), request);
    auto id = co_await ask_for_id(connection->stream(), request);
    if (!id && id.error().fault == Fault::closed && connection->reused()) {
        connection = cleanup.connect_fresh();
        if (!connection)
            co_return Error(Fault::broken, connection.error().context);
        id = co_await ask_for_id(connection->stream(), request);
    }
    if (!id)
        co_return Error(Fault::broken, cleanup.path() + ": " + id.error().context, id.error().number);
    CleanupStream stream(cleanup, std::move(*connection));
    stream.queue_id_ = std::move(*id);
    trace_received(cleanup.path(), encode_cleanup_opened(stream.queue_id_));
    co_return std::move(stream);
}

void CleanupStream::frame_records()
{
    std::string_view rest = records_;
    while (!rest.empty()) {
        const std::string_view part = rest.substr(0, max_frame_body);
        if (log::verbosity() > 0)
            log::trace(fmt::format("> {}: records ({} bytes)", service_->path(), part.size()));
        append_frame_header(connection_.stream().output(), Kind::cleanup_records, part.size());
        connection_.stream().write(part);
        rest.remove_prefix(part.size());
    }
    records_.clear();
}

Task<Result<>> CleanupStream::send_some()
{
    if (!wants_sending())
        co_return Result<>();
    frame_records();
    co_return co_await connection_.stream().flush();
}

Task<Result<CleanupResult>> CleanupStream::finish(unsigned flags)
{
    frame_records();
    records_ = std::string();
    if (!descriptors_.empty())
        connection_.stream().attach_descriptors(std::exchange(descriptors_, {}));
    const Message finish = encode_cleanup_finish(flags);
    trace_sent(service_->path(), finish);
    CO_TRY_VOID(co_await send(connection_.stream(), finish));
    CO_TRY(const Message answer, co_await receive(connection_.stream()));
    trace_received(service_->path(), answer);
    auto result = decode_cleanup_result(answer);
    if (result) {
        connection_.note() = std::move(result->next_id);
        service_->keep(std::move(connection_));
    }
    co_return result;
}

} // namespace bulkhead::ipc
