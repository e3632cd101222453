#include "async/socket_ends.h"

#include <sys/socket.h>

#include <cstring>

namespace bulkhead
{

static std::optional<SocketAddress> end_of(int fd, int (*ask)(int, sockaddr*, socklen_t*))
{
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    if (ask(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0)
        return std::nullopt;
    if (storage.ss_family == AF_INET6) {
        sockaddr_in6 in;
        std::memcpy(&in, &storage, sizeof in);
        if (IN6_IS_ADDR_V4MAPPED(&in.sin6_addr))
            return SocketAddress::from_bytes(std::span(in.sin6_addr.s6_addr).subspan(12),
                                             ntohs(in.sin6_port));
    }
    return SocketAddress::from_socket(reinterpret_cast<const sockaddr*>(&storage));
}

std::optional<SocketAddress> peer_end(int fd)
{
    return end_of(fd, ::getpeername);
}

std::optional<SocketAddress> own_end(int fd)
{
    return end_of(fd, ::getsockname);
}

} // namespace bulkhead
