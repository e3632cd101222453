// The client of a session: its address as the kernel tells it, its name, and the
// address of ours that it connected to.
#pragma once

#include <cstdint>
#include <string>

namespace bulkhead
{

// What became of looking up a name.
enum class PeerName { known, temporary, unknown };

struct Peer {
    std::string name = "unknown";         // found for the address, and leading back to it
    std::string reverse_name = "unknown"; // found for the address
    PeerName name_status = PeerName::unknown;
    PeerName reverse_status = PeerName::unknown;
    PeerName forward_status = PeerName::unknown; // reverse_name has an address, whichever
    std::string address;                         // printable, without brackets; IPv4-mapped IPv6 as IPv4
    std::string server_address;
    std::uint16_t port = 0;
    std::uint16_t server_port = 0;
    bool v6 = false;
    bool network = false; // false: standard input or a UNIX socket

    // "localhost[127.0.0.1]", as log lines have it.
    std::string label() const { return name + '[' + address + ']'; }
    std::string label_with_port() const { return label() + ':' + std::to_string(port); }

    // What stands in brackets in Received: "192.0.2.1", "IPv6:2001:db8::1".
    std::string literal() const { return v6 ? "IPv6:" + address : address; }
};

// Whoever is at the other end of the socket; a client of the network has no name yet
// (peer_name.h).
Peer peer_of(int fd);

} // namespace bulkhead
