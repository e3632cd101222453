#include "carrier.h"

#include "async/scope.h"

#include <fcntl.h>
#include <sys/socket.h>

namespace bulkhead
{

namespace
{

// Replies that a client does not take.
constexpr std::size_t unsent_limit = 256 * 1024;
constexpr Milliseconds unsent_pause{20};

// What the client says.  Its stream is waited on here alone; to_server is a stream of its own on
// the same socket, so that the other direction has somebody to wait on too.
Task<> carry_words(Stream* client, Stream* to_server)
{
    for (;;) {
        const auto more = co_await client->fill();
        if (!more)
            break;
        to_server->write(client->buffered());
        client->consume(client->buffered().size());
        const auto sent = co_await to_server->flush();
        if (!sent)
            break;
    }
    ::shutdown(to_server->fd(), SHUT_WR);
}

Task<> carry_replies(Stream* client, Stream* from_server)
{
    for (;;) {
        const auto more = co_await from_server->fill();
        if (!more)
            break;
        client->write(from_server->buffered());
        from_server->consume(from_server->buffered().size());
        client->send_what_fits();
        while (client->unsent() > unsent_limit && !client->peer_closed()) {
            co_await sleep_for(unsent_pause);
            client->send_what_fits();
        }
    }
    client->send_what_fits();
    client->close(); // the environment has ended the session
}

} // namespace

SocketPair make_socket_pair()
{
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
        return {};
    return SocketPair{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Task<> carry(Stream* client, UniqueFd server)
{
    UniqueFd copy(::fcntl(server.get(), F_DUPFD_CLOEXEC, 0));
    Stream from_server(std::move(server));
    Stream to_server(std::move(copy));
    client->set_timeout(Milliseconds(0)); // the environment watches the time
    client->clear_deadline();
    Scope directions;
    directions.spawn(carry_words, client, &to_server);
    directions.spawn(carry_replies, client, &from_server);
    co_await directions.empty();
}

} // namespace bulkhead
