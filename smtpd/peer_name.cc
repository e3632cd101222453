#include "peer_name.h"

#include "dns/dns_lists.h"

#include "dns/resolver.h"
#include "log/log.h"
#include "mail/address.h"

#include <algorithm>
#include <optional>
#include <vector>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

PeerName status_of(dns::Status status)
{
    switch (status) {
    case dns::Status::found:
        return PeerName::known;
    case dns::Status::temporary:
    case dns::Status::bogus:
        return PeerName::temporary;
    default:
        return PeerName::unknown;
    }
}

Task<> find_reverse_name(Peer& peer, const SocketAddress& address, dns::Resolver& resolver)
{
    std::string name = resolver.hosts().name_of(address);
    peer.reverse_status = PeerName::known;
    if (name.empty()) {
        std::string question = reversed_address(address) + (address.is_v6() ? ".ip6.arpa" : ".in-addr.arpa");
        auto answer = co_await resolver.ptr(std::move(question));
        peer.reverse_status = status_of(answer.status);
        if (!answer.records.empty())
            name = std::move(answer.records.front().name);
    }
    if (peer.reverse_status != PeerName::known)
        co_return;
    // A name like an address could stand for one in access tables.
    if (!is_valid_domain(name) || SocketAddress::parse(name)) {
        log::warn(fmt::format("numeric or malformed hostname of {}", peer.address));
        peer.reverse_status = PeerName::unknown;
        co_return;
    }
    peer.reverse_name = std::move(name);
}

// Whether the reverse name has the client's address among its own.
Task<bool> leads_back(Peer& peer, const SocketAddress& address, dns::Resolver& resolver)
{
    std::vector<SocketAddress> addresses = resolver.hosts().find(peer.reverse_name);
    const auto is_client = [&](const SocketAddress& other) { return other.same_host(address); };
    peer.forward_status = PeerName::known;
    if (std::ranges::none_of(addresses, is_client)) {
        // Only answers of the client's own family could lead back.
        dns::Answer<SocketAddress> answer;
        if (address.is_v6())
            answer = co_await resolver.aaaa(peer.reverse_name);
        else
            answer = co_await resolver.a(peer.reverse_name);
        addresses = std::move(answer.records);
        peer.forward_status = status_of(answer.status);
    }
    co_return std::ranges::any_of(addresses, is_client);
}

} // namespace

Task<> look_up_name(Peer& peer, dns::Resolver& resolver)
{
    const auto address = SocketAddress::parse(peer.address);
    if (!peer.network || !address)
        co_return;
    co_await find_reverse_name(peer, *address, resolver);
    peer.name_status = peer.forward_status = peer.reverse_status;
    if (peer.reverse_status != PeerName::known)
        co_return;
    const bool believed = co_await leads_back(peer, *address, resolver);
    if (believed) {
        peer.name = peer.reverse_name;
        co_return;
    }
    std::string_view reason;
    if (peer.forward_status == PeerName::temporary)
        reason = ": Temporary failure in name resolution";
    else if (peer.forward_status == PeerName::unknown)
        reason = ": Name or service not known";
    peer.name_status = peer.forward_status == PeerName::temporary ? PeerName::temporary : PeerName::unknown;
    log::warn(
        fmt::format("hostname {} does not resolve to address {}{}", peer.reverse_name, peer.address, reason));
}

} // namespace bulkhead
