#include "peer.h"

#include "async/socket_ends.h"

namespace bulkhead
{

Peer peer_of(int fd)
{
    Peer peer;
    const auto client = peer_end(fd);
    if (!client) {
        peer.name = peer.reverse_name = "localhost";
        peer.name_status = peer.reverse_status = peer.forward_status = PeerName::known;
        peer.address = "127.0.0.1";
        return peer;
    }
    peer.network = true;
    peer.v6 = client->is_v6();
    peer.address = client->text();
    peer.port = client->port();
    if (const auto server = own_end(fd)) {
        peer.server_address = server->text();
        peer.server_port = server->port();
    }
    return peer;
}

} // namespace bulkhead
