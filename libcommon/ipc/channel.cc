#include "ipc/channel.h"

#include "ipc/trace.h"
#include "os/files.h"

#include <sys/socket.h>

#include <algorithm>

namespace bulkhead::ipc
{

constexpr std::size_t max_kept_connections = 64;

Task<Result<Message>> receive(Stream& stream)
{
    CO_TRY_VOID(co_await stream.need(frame_header_size));
    const auto header = parse_frame_header(stream.buffered().substr(0, frame_header_size));
    if (!header)
        co_return header.error();
    stream.consume(frame_header_size);
    CO_TRY_VOID(co_await stream.need(header->body_size));
    std::string body(stream.buffered().substr(0, header->body_size));
    stream.consume(header->body_size);
    stream.rest();
    if (header->kind != Kind::cleanup_records) {
        const auto whole = check_attributes(body);
        if (!whole)
            co_return whole.error();
    }
    co_return Message(header->kind, std::move(body));
}

Task<Result<>> send(Stream& stream, const Message& message)
{
    message.encode(stream.output());
    co_return co_await stream.flush();
}

Service::Service(std::string path, Milliseconds timeout)
    : path_(std::move(path)), timeout_(timeout), idle_timer_([this] { close_idle(); })
{
}
Service::~Service() = default;

// The other side has closed, or has sent what nobody asked for.
static bool is_stale(const Stream& stream)
{
    if (stream.is_silent())
        return false;
    char byte = 0;
    const ssize_t n = ::recv(stream.fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n >= 0 || (errno != EAGAIN && errno != EINTR);
}

Result<Service::Connection> Service::connect()
{
    while (!idle_.empty()) {
        Connection connection = std::move(idle_.back().connection);
        idle_.pop_back();
        connection.reused_ = true;
        if (!is_stale(*connection.stream_))
            return connection;
    }
    return connect_fresh();
}

Result<Service::Connection> Service::connect_fresh()
{
    TRY(UniqueFd fd, connect_unix(path_));
    Connection connection;
    connection.stream_ = std::make_unique<Stream>(std::move(fd));
    connection.stream_->set_timeout(timeout_);
    return connection;
}

void Service::keep(Connection connection)
{
    if (idle_.size() >= max_kept_connections || connection.stream_->peer_closed())
        return;
    idle_.push_back({std::move(connection), SteadyClock::now()});
    if (!idle_timer_.running())
        idle_timer_.start(idle_time);
}

void Service::close_idle()
{
    const SteadyTime limit = SteadyClock::now() - idle_time;
    const auto young = std::ranges::find_if(idle_, [limit](const Idle& one) { return one.since > limit; });
    idle_.erase(idle_.begin(), young);
    if (!idle_.empty())
        idle_timer_.start(std::chrono::ceil<Milliseconds>(idle_.front().since - limit));
}

static Task<Result<Message>> converse(Stream& stream, const Message& request)
{
    CO_TRY_VOID(co_await send(stream, request));
    co_return co_await receive(stream);
}

Task<Result<Message>> Service::call(const Message& request, bool* repeated)
{
    trace_sent(path_, request);
    auto connection = connect();
    if (!connection)
        co_return connection.error();
    auto answer = co_await converse(connection->stream(), request);
    if (!answer && answer.error().fault == Fault::closed && connection->reused()) {
        if (repeated != nullptr)
            *repeated = true;
        connection = connect_fresh();
        if (!connection)
            co_return connection.error();
        answer = co_await converse(connection->stream(), request);
    }
    if (!answer) {
        Error error = answer.error();
        error.context = path_ + ": " + error.context;
        co_return error;
    }
    trace_received(path_, *answer);
    keep(std::move(*connection));
    co_return answer;
}

} // namespace bulkhead::ipc
