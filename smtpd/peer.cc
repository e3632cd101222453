#include "peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

namespace bulkhead
{

namespace
{

struct Endpoint {
    std::string address;
    std::uint16_t port = 0;
    bool v6 = false;
    bool network = false;
};

Endpoint endpoint_of(const sockaddr_storage& storage)
{
    Endpoint result;
    char text[INET6_ADDRSTRLEN] = "";
    if (storage.ss_family == AF_INET) {
        sockaddr_in in;
        std::memcpy(&in, &storage, sizeof in);
        ::inet_ntop(AF_INET, &in.sin_addr, text, sizeof text);
        result.port = ntohs(in.sin_port);
        result.network = true;
    } else if (storage.ss_family == AF_INET6) {
        sockaddr_in6 in;
        std::memcpy(&in, &storage, sizeof in);
        result.v6 = !IN6_IS_ADDR_V4MAPPED(&in.sin6_addr);
        if (result.v6)
            ::inet_ntop(AF_INET6, &in.sin6_addr, text, sizeof text);
        else
            ::inet_ntop(AF_INET, &in.sin6_addr.s6_addr[12], text, sizeof text);
        result.port = ntohs(in.sin6_port);
        result.network = true;
    }
    result.address = text;
    return result;
}

} // namespace

Peer peer_of(int fd)
{
    Peer peer;
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0)
        storage.ss_family = AF_UNSPEC;
    const Endpoint client = endpoint_of(storage);
    if (!client.network) {
        peer.name = peer.reverse_name = "localhost";
        peer.name_status = peer.reverse_status = peer.forward_status = PeerName::known;
        peer.address = "127.0.0.1";
        return peer;
    }
    peer.network = true;
    peer.v6 = client.v6;
    peer.address = client.address;
    peer.port = client.port;

    storage = {};
    size = sizeof storage;
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size) == 0) {
        const Endpoint server = endpoint_of(storage);
        peer.server_address = server.address;
        peer.server_port = server.port;
    }
    return peer;
}

} // namespace bulkhead
