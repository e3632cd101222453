#include "sasl/auth_client.h"

#include "async/connect.h"
#include "log/log.h"
#include "os/files.h"

#include <netdb.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace bulkhead::sasl
{

namespace
{

constexpr Milliseconds idle_time{5'000};       // a connection without work is closed after this
constexpr Milliseconds mechanism_time{60'000}; // the offer of a service is believed that long
constexpr Milliseconds connect_time{10'000};
constexpr Milliseconds greeting_time{10'000}; // EHLO waits for it
constexpr std::size_t mechanism_limit = 64;
constexpr std::size_t request_limit = 100'000; // waiting at once: more than there can be sessions
constexpr std::size_t unsent_limit = 4U << 20; // a service that does not read

Result<SocketAddress> find_host(const std::string& host, const std::string& port)
{
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const int status = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
    if (status != 0)
        return Error{Fault::config, fmt::format("{}:{}: {}", host, port, ::gai_strerror(status))};
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> list(found, ::freeaddrinfo);
    const auto address = SocketAddress::from_socket(list->ai_addr);
    if (!address)
        return Error{Fault::config, fmt::format("{}:{}: no IP address", host, port)};
    return *address;
}

} // namespace

Result<AuthPlace> AuthPlace::parse(const std::string& text)
{
    AuthPlace place;
    place.text = text;
    if (!text.starts_with("inet:")) {
        place.path = text.starts_with("unix:") ? text.substr(5) : text;
        if (place.path.empty())
            return Error{Fault::config, "no path of an authentication socket"};
        return place;
    }
    const std::string rest = text.substr(5);
    const auto colon = rest.rfind(':');
    if (colon == std::string::npos || colon == 0 || colon + 1 == rest.size())
        return Error{Fault::config, fmt::format("{}: not of the form inet:host:port", text)};
    std::string host = rest.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']'))
        host = host.substr(1, host.size() - 2);
    TRY(place.address, find_host(host, rest.substr(colon + 1)));
    return place;
}

AuthClient::AuthClient(AuthPlace place, Milliseconds timeout)
    : place_(std::move(place)), timeout_(timeout), idle_timer_([this] { close_if_idle(); })
{
}

AuthClient::~AuthClient() = default;

Task<Result<UniqueFd>> AuthClient::open_socket()
{
    if (!place_.address)
        co_return connect_unix(place_.path);
    const std::optional<SocketAddress> any;
    co_return co_await connect_inet(*place_.address, any, connect_time);
}

// Afterwards link_ is there and greeted.  One at a time: the others find it made.
Task<Result<>> AuthClient::connect()
{
    const auto turn = co_await connecting_.acquire();
    if (link_ && link_->greeted && !link_->over)
        co_return Result<>();
    auto fd = co_await open_socket();
    if (!fd)
        co_return Error(fd.error().fault,
                        fmt::format("connect to {} failed: {}", place_.text, fd.error().context),
                        fd.error().number);
    const auto link = std::make_shared<Link>(*std::move(fd));
    link_ = link;
    AuthRequest hello;
    hello.kind = AuthRequest::Kind::version;
    hello.number = auth_version;
    link->stream.write(auth_line(hello));
    hello.kind = AuthRequest::Kind::process;
    hello.number = static_cast<std::uint32_t>(::getpid());
    link->stream.write(auth_line(hello));
    readers_.spawn(read, this, link);
    const SteadyTime end = SteadyClock::now() + std::min(timeout_, greeting_time);
    while (!link->greeted && !link->over) {
        const auto left = std::chrono::ceil<Milliseconds>(end - SteadyClock::now());
        if (left <= Milliseconds(0)) {
            drop(link, Error(Fault::timeout, "no greeting from the authentication server"));
            break;
        }
        (void)co_await link->changed.wait_for(left);
    }
    if (link->over)
        co_return Error(link->reason.fault, fmt::format("{}: {}", place_.text, link->reason.context));
    mechanisms_ = link->mechanisms;
    last_use_ = asked_ = SteadyClock::now();
    if (!idle_timer_.running())
        idle_timer_.start(idle_time);
    co_return Result<>();
}

Task<Result<std::vector<Mechanism>>> AuthClient::mechanisms()
{
    if (asked_ == SteadyTime{} || SteadyClock::now() - asked_ > mechanism_time) {
        if (link_ && link_->greeted && !link_->over) {
            asked_ = SteadyClock::now(); // who changes its offer closes its connections
        } else {
            const auto connected = co_await connect();
            if (!connected)
                co_return connected.error();
        }
    }
    co_return mechanisms_;
}

// Everything that the service says, to whoever waits for it.
Task<> AuthClient::read(AuthClient* self, std::shared_ptr<Link> link)
{
    Error reason(Fault::closed, "Connection lost to authentication server");
    for (;;) {
        const auto line = co_await link->stream.read_line(auth_line_limit);
        if (!line)
            break;
        if (!line->complete) {
            reason = Error(Fault::limit, "a line of the authentication server is too long");
            break;
        }
        const auto taken = take(*link, line->text);
        if (!taken) {
            reason = taken.error();
            break;
        }
    }
    drop(link, std::move(reason));
    if (self->link_ == link)
        self->link_ = nullptr;
}

// A service that breaks the protocol is not believed any more: an error ends the connection.
Result<> AuthClient::take(Link& link, std::string_view line)
{
    using Kind = AuthAnswer::Kind;
    TRY(AuthAnswer answer, parse_auth_answer(line));
    switch (answer.kind) {
    case Kind::version:
        if (answer.number != auth_version)
            return Error{Fault::malformed,
                         fmt::format("authentication protocol version {} is not supported", answer.number)};
        return {};
    case Kind::mechanism:
        if (link.mechanisms.size() >= mechanism_limit)
            return Error{Fault::limit, "too many mechanisms"};
        if (!answer.hidden)
            link.mechanisms.push_back(std::move(answer.mechanism));
        return {};
    case Kind::done:
        link.greeted = true;
        link.changed.notify_all();
        return {};
    case Kind::other:
        return {};
    case Kind::ok:
    case Kind::go_on:
    case Kind::fail:
        break;
    }
    const auto found = link.waiting.find(answer.id);
    if (found == link.waiting.end())
        return {}; // somebody has given up
    Waiting& waiting = *found->second;
    link.waiting.erase(found);
    if (answer.kind == Kind::go_on)
        link.open.insert(answer.id);
    waiting.answer = std::move(answer);
    waiting.answered.notify_all();
    return {};
}

void AuthClient::drop(const std::shared_ptr<Link>& link, Error reason)
{
    if (link->over)
        return;
    const std::shared_ptr<Link> held = link; // its reader ends with the stream
    held->over = true;
    held->reason = std::move(reason);
    for (const auto& [id, waiting] : std::exchange(held->waiting, {})) {
        waiting->lost = true;
        waiting->answered.notify_all();
    }
    held->changed.notify_all();
    held->stream.cancel();
}

Task<Result<AuthAnswer>> AuthClient::exchange(std::uint32_t id, std::string line)
{
    const std::shared_ptr<Link> link = link_;
    if (!link || link->over)
        co_return Error(Fault::closed, "Connection lost to authentication server");
    if (line.size() > auth_line_limit || link->waiting.size() >= request_limit ||
        link->stream.unsent() > unsent_limit)
        co_return Error(Fault::limit, "the authentication server is overloaded");
    Waiting waiting;
    link->waiting[id] = &waiting;
    link->stream.write(line);
    link->stream.send_what_fits();
    last_use_ = SteadyClock::now();
    const SteadyTime end = last_use_ + timeout_;
    while (!waiting.answer && !waiting.lost) {
        const auto left = std::chrono::ceil<Milliseconds>(end - SteadyClock::now());
        if (left <= Milliseconds(0))
            break;
        (void)co_await waiting.answered.wait_for(left);
    }
    link->waiting.erase(id);
    if (waiting.answer)
        co_return *std::move(waiting.answer);
    if (waiting.lost)
        co_return link->reason;
    co_return Error(Fault::timeout, "no answer from the authentication server");
}

Task<Result<AuthAnswer>> AuthClient::begin(AuthRequest request)
{
    const auto connected = co_await connect();
    if (!connected)
        co_return connected.error();
    request.kind = AuthRequest::Kind::begin;
    request.id = next_id_++;
    if (next_id_ == 0)
        next_id_ = 1;
    const std::uint32_t id = request.id;
    std::string line = auth_line(request);
    co_return co_await exchange(id, std::move(line));
}

Task<Result<AuthAnswer>> AuthClient::go_on(std::uint32_t id, std::string response)
{
    // Another connection knows nothing of this exchange.
    if (!link_ || link_->open.erase(id) == 0)
        co_return Error(Fault::closed, "Connection lost to authentication server");
    AuthRequest request;
    request.kind = AuthRequest::Kind::go_on;
    request.id = id;
    request.data = std::move(response);
    std::string line = auth_line(request);
    co_return co_await exchange(id, std::move(line));
}

void AuthClient::cancel(std::uint32_t id)
{
    if (!link_ || link_->over || link_->open.erase(id) == 0)
        return;
    AuthRequest request;
    request.kind = AuthRequest::Kind::cancel;
    request.id = id;
    link_->stream.write(auth_line(request));
    link_->stream.send_what_fits();
}

void AuthClient::close_if_idle()
{
    if (!link_ || link_->over)
        return;
    const auto idle = SteadyClock::now() - last_use_;
    if (idle >= idle_time && link_->waiting.empty() && link_->open.empty())
        close();
    else
        idle_timer_.start(idle_time);
}

void AuthClient::close()
{
    if (link_)
        drop(link_, Error(Fault::cancelled, "the authentication client ends"));
}

} // namespace bulkhead::sasl
