#include "async/socket_ends.h"

#include "base/unique_fd.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <gtest/gtest.h>

#include <string>

namespace bulkhead
{
namespace
{

// A listening socket on that IPv6 address, which may be a mapped one.
UniqueFd listener(const std::string& address, sockaddr_in6& bound)
{
    UniqueFd fd(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int off = 0;
    ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    bound = {};
    bound.sin6_family = AF_INET6;
    ::inet_pton(AF_INET6, address.c_str(), &bound.sin6_addr);
    socklen_t size = sizeof bound;
    if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&bound), size) != 0 || ::listen(fd.get(), 1) != 0 ||
        ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&bound), &size) != 0)
        fd.reset();
    return fd;
}

TEST(SocketEnds, ANumberOfIPv4ThatIPv6ShowsIsOneOfIPv4)
{
    sockaddr_in6 bound;
    const UniqueFd listening = listener("::ffff:127.0.0.1", bound);
    ASSERT_TRUE(listening);
    const UniqueFd client(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&bound), sizeof bound), 0);
    const UniqueFd server(::accept(listening.get(), nullptr, nullptr));
    ASSERT_TRUE(server);
    const auto peer = peer_end(server.get());
    const auto own = own_end(server.get());
    ASSERT_TRUE(peer && own);
    EXPECT_FALSE(peer->is_v6());
    EXPECT_EQ(peer->text(), "127.0.0.1");
    EXPECT_EQ(own->text(), "127.0.0.1");
    EXPECT_EQ(own->port(), ntohs(bound.sin6_port));
    EXPECT_EQ(*peer, *own_end(client.get()));
    EXPECT_EQ(*own, *peer_end(client.get()));
}

TEST(SocketEnds, WhatIsNoConnectionOfIpHasNone)
{
    int pair[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    const UniqueFd one(pair[0]);
    const UniqueFd other(pair[1]);
    EXPECT_FALSE(peer_end(one.get()));
    EXPECT_FALSE(own_end(one.get()));
    sockaddr_in6 bound;
    const UniqueFd listening = listener("::ffff:127.0.0.1", bound);
    ASSERT_TRUE(listening);
    EXPECT_FALSE(peer_end(listening.get()));
    EXPECT_FALSE(peer_end(-1));
}

} // namespace
} // namespace bulkhead
