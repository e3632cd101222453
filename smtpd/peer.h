// The client of a session: its address as the kernel tells it, its name, and the
// address of ours that it connected to.
#pragma once

#include <cstdint>
#include <string>

namespace bulkhead
{

struct Peer {
    std::string name = "unknown";
    std::string address; // printable, without brackets; IPv4-mapped IPv6 as IPv4
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

// Whoever is at the other end of the socket.  names: the loopback addresses are
// called localhost; other names are not looked up.
Peer peer_of(int fd, bool names);

} // namespace bulkhead
