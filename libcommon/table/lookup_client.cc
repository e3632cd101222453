#include "table/lookup_client.h"

#include "base/text.h"
#include "os/jail.h"

#include <fmt/format.h>
#include <netdb.h>
#include <poll.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>

namespace bulkhead
{

namespace
{

constexpr std::size_t kept_limit = 32;
constexpr std::size_t address_limit = 16;
constexpr Milliseconds backlog_pause{20}; // a UNIX socket whose queue is full cannot be waited for

Error timed_out(std::string_view what)
{
    return {Fault::timeout, fmt::format("{}: time limit exceeded", what), ETIMEDOUT};
}

// Until the descriptor is ready or the deadline has come.
Result<> wait_for(int fd, short events, SteadyTime deadline, std::string_view what)
{
    for (;;) {
        const auto left = std::chrono::ceil<Milliseconds>(deadline - SteadyClock::now()).count();
        if (left <= 0)
            return timed_out(what);
        pollfd poll{fd, events, 0};
        const int ready = ::poll(&poll, 1, static_cast<int>(std::min<std::int64_t>(left, 3600'000)));
        if (ready > 0)
            return {};
        if (ready < 0 && errno != EINTR)
            return system_error("poll");
    }
}

// The other side has closed, or has sent what nobody asked for.
bool is_stale(int fd)
{
    char byte = 0;
    const ssize_t n = ::recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n >= 0 || (errno != EAGAIN && errno != EINTR);
}

Result<UniqueFd> connect_to(const sockaddr_storage& address, socklen_t size, SteadyTime deadline)
{
    UniqueFd fd(::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd)
        return system_error("socket");
    while (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0) {
        if (errno == EAGAIN) {
            if (SteadyClock::now() + backlog_pause > deadline)
                return timed_out("connect");
            ::usleep(static_cast<useconds_t>(backlog_pause.count()) * 1000);
            continue;
        }
        if (errno != EINPROGRESS)
            return system_error("connect");
        TRY_VOID(wait_for(fd.get(), POLLOUT, deadline, "connect"));
        int fault = 0;
        socklen_t fault_size = sizeof fault;
        ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &fault, &fault_size);
        if (fault != 0)
            return system_error("connect", fault);
        break;
    }
    return fd;
}

Result<> send_all(int fd, std::string_view bytes, SteadyTime deadline)
{
    while (!bytes.empty()) {
        const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            bytes.remove_prefix(static_cast<std::size_t>(sent));
            continue;
        }
        if (errno == EPIPE || errno == ECONNRESET)
            return Error{Fault::closed, "connection lost", errno};
        if (errno != EAGAIN && errno != EINTR)
            return system_error("send");
        TRY_VOID(wait_for(fd, POLLOUT, deadline, "send"));
    }
    return {};
}

} // namespace

Result<ServerName> ServerName::parse(std::string_view text)
{
    ServerName server;
    server.text = text;
    if (text.starts_with("unix:") && text.size() > 5) {
        server.path = text.substr(5);
        if (server.path.size() >= sizeof(sockaddr_un::sun_path))
            return Error{Fault::config, fmt::format("{}: the path is too long", printable(text))};
        return server;
    }
    const auto colon = text.rfind(':');
    if (!text.starts_with("inet:") || colon <= 5 || colon + 1 == text.size())
        return Error{Fault::config, fmt::format("{}: want inet:host:port or unix:path", printable(text))};
    std::string_view host = text.substr(5, colon - 5);
    if (host.starts_with('[') && host.ends_with(']'))
        host = host.substr(1, host.size() - 2);
    if (host.empty())
        return Error{Fault::config, fmt::format("{}: no host", printable(text))};
    server.host = host;
    server.port = text.substr(colon + 1);
    return server;
}

LookupClient::LookupClient(ServerName server, const Limits& limits)
    : server_(std::move(server)), limits_(limits)
{
    if (server_.path.empty())
        allow_network_in_jail();
    addresses_ = resolve().value_or({});
}

std::shared_ptr<LookupClient> LookupClient::shared(const ServerName& server, const Limits& limits)
{
    static std::mutex mutex;
    static std::map<std::string, std::weak_ptr<LookupClient>, std::less<>> clients;
    const std::lock_guard lock(mutex);
    std::weak_ptr<LookupClient>& known = clients[server.text];
    std::shared_ptr<LookupClient> client = known.lock();
    if (!client) {
        client = std::make_shared<LookupClient>(server, limits);
        known = client;
    }
    return client;
}

Result<std::vector<LookupClient::Address>> LookupClient::resolve() const
{
    std::vector<Address> found;
    if (!server_.path.empty()) {
        Address address;
        sockaddr_un name{};
        name.sun_family = AF_UNIX;
        std::memcpy(name.sun_path, server_.path.data(), server_.path.size());
        std::memcpy(&address.bytes, &name, sizeof name);
        address.size = sizeof name;
        found.push_back(address);
        return found;
    }
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* first = nullptr;
    if (const int fault = ::getaddrinfo(server_.host.c_str(), server_.port.c_str(), &hints, &first);
        fault != 0)
        return Error{Fault::broken, fmt::format("look up host: {}", ::gai_strerror(fault))};
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(first, ::freeaddrinfo);
    for (const addrinfo* one = first; one != nullptr && found.size() < address_limit; one = one->ai_next) {
        Address address;
        std::memcpy(&address.bytes, one->ai_addr, one->ai_addrlen);
        address.size = one->ai_addrlen;
        found.push_back(address);
    }
    return found;
}

Result<std::vector<LookupClient::Address>> LookupClient::addresses()
{
    {
        const std::lock_guard lock(mutex_);
        if (!addresses_.empty())
            return addresses_;
    }
    TRY(std::vector<Address> found, resolve());
    const std::lock_guard lock(mutex_);
    addresses_ = found;
    return found;
}

// The newest one first: the others grow old and are closed.
std::optional<LookupClient::Connection> LookupClient::take()
{
    const SteadyTime now = SteadyClock::now();
    const std::lock_guard lock(mutex_);
    std::erase_if(kept_, [&](const Connection& one) {
        return now - one.last_used > limits_.idle || now - one.opened > limits_.life ||
               is_stale(one.fd.get());
    });
    if (kept_.empty())
        return std::nullopt;
    std::optional<Connection> connection(std::move(kept_.back()));
    kept_.pop_back();
    connection->reused = true;
    return connection;
}

void LookupClient::keep(Connection connection)
{
    connection.last_used = SteadyClock::now();
    const std::lock_guard lock(mutex_);
    if (kept_.size() < kept_limit)
        kept_.push_back(std::move(connection));
}

Result<LookupClient::Connection> LookupClient::connect(SteadyTime deadline)
{
    TRY(const std::vector<Address> candidates, addresses());
    Error newest{Fault::broken, "no address"};
    for (const Address& address : candidates) {
        auto fd = connect_to(address.bytes, address.size, deadline);
        if (fd)
            return Connection{*std::move(fd), SteadyClock::now(), {}, false};
        newest = fd.error();
    }
    return newest;
}

Result<std::string> LookupClient::converse(const Connection& connection, std::string_view request,
                                           ReplyEnd end, SteadyTime deadline, bool& reply_began) const
{
    TRY_VOID(send_all(connection.fd.get(), request, deadline));
    std::string reply;
    char block[4096];
    for (;;) {
        TRY_VOID(wait_for(connection.fd.get(), POLLIN, deadline, "read the reply"));
        const ssize_t n = ::recv(connection.fd.get(), block, sizeof block, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (n <= 0)
            return Error{Fault::closed, "connection lost", n < 0 ? errno : 0};
        reply_began = true;
        reply.append(block, static_cast<std::size_t>(n));
        TRY(const std::size_t size, end(reply));
        if (size == 0)
            continue;
        if (size < reply.size())
            return Error{Fault::malformed, "more than one reply"};
        return reply;
    }
}

Result<std::string> LookupClient::exchange(std::string_view request, ReplyEnd end)
{
    {
        const std::lock_guard lock(mutex_);
        if (pause_.count() > 0 && SteadyClock::now() < pause_end_)
            return Error{Fault::broken, trouble_};
    }
    const SteadyTime deadline = SteadyClock::now() + limits_.time;
    std::optional<Connection> connection = take();
    for (;;) {
        if (!connection) {
            auto fresh = connect(deadline);
            if (!fresh)
                return failed(fresh.error());
            connection = *std::move(fresh);
        }
        bool reply_began = false;
        auto reply = converse(*connection, request, end, deadline, reply_began);
        if (reply) {
            succeeded();
            keep(*std::move(connection));
            return reply;
        }
        const bool dead_before = connection->reused && !reply_began && reply.error().fault == Fault::closed;
        connection.reset();
        if (!dead_before)
            return failed(reply.error());
    }
}

bool LookupClient::is_there()
{
    std::optional<Connection> connection = take();
    if (!connection) {
        auto fresh = connect(SteadyClock::now() + limits_.first_pause);
        if (!fresh)
            return false;
        connection = *std::move(fresh);
    }
    keep(*std::move(connection));
    return true;
}

// A reply that makes no sense says nothing of the next one; a server that cannot be reached
// or is silent is left alone for a while.
Error LookupClient::failed(Error error)
{
    error.context = fmt::format("{}: {}", server_.text, error.context);
    if (error.fault == Fault::malformed || error.fault == Fault::limit)
        return error;
    const SteadyTime now = SteadyClock::now();
    const std::lock_guard lock(mutex_);
    trouble_ = error.context;
    if (now >= pause_end_) { // else another thread has met the same failure
        pause_ = std::clamp(pause_ * 2, limits_.first_pause, limits_.longest_pause);
        pause_end_ = now + pause_;
    }
    return error;
}

void LookupClient::succeeded()
{
    const std::lock_guard lock(mutex_);
    pause_ = Milliseconds(0);
    pause_end_ = SteadyTime();
}

} // namespace bulkhead
