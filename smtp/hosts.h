// Who to try for a next hop, in which order: mail exchangers and their addresses,
// shuffled among equals, without ourselves (RFC 5321, section 5).
#pragma once

#include "async/task.h"
#include "dns/reply_filter.h"
#include "nexthop.h"
#include "outcome.h"
#include "params.h"
#include "table/table.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <random>
#include <vector>

namespace bulkhead
{

struct Host {
    Host(Peer who, unsigned order) : peer(std::move(who)), preference(order) {}

    Peer peer;
    unsigned preference;           // of its MX or SRV record; 0 for others
    unsigned turn = 0;             // among those of one preference, when lots were drawn
    bool found_insecurely = false; // by an MX record that nobody has signed
};

struct HostOrder {
    enum class Prefer { any, ipv4, ipv6 } prefer = Prefer::any;
    bool shuffle = true;
    bool balance = true;   // both IP versions below the limit, where there are both
    std::size_t limit = 0; // of addresses; 0: none
};

// Sorted by preference; among equals shuffled, the preferred IP version first; cut to
// the limit.  Pure but for the random numbers.
void arrange(std::vector<Host>& hosts, const HostOrder& order, std::minstd_rand& random);

// Drops the hosts that are not better than the best one of ourselves; false when that
// leaves none (a loop).  is_self: for a host of the list.
bool drop_from_self_on(std::vector<Host>& hosts, const std::function<bool(const Host&)>& is_self);

// SRV records by priority; among equals by lot, with chances as their weights (RFC 2782).  Without
// lots the heaviest is the first.
void arrange(std::vector<dns::SrvRecord>& records, bool by_lot, std::minstd_rand& random);

// Names to ask for in turn, where a short one is completed.
struct NameCompletion {
    bool without_dot = false; // res_defnames
    bool with_dot = false;    // res_dnsrch: also, and in all domains instead of the first
    std::vector<std::string> domains;

    std::vector<std::string> spellings(const std::string& name) const;
};

// A later host of the list is reached by the other IP version: one that hangs need not be waited
// for yet.
bool has_other_version_behind(const std::vector<Host>& hosts, std::size_t index);

// Hosts to try, or why there are none.
struct HostList {
    std::vector<Host> hosts;
    std::optional<DeliveryStatus> failure;
    bool loops = false; // the failure is that we are the best one
};

class HostFinder
{
public:
    using IsOwnAddress = std::function<bool(const SocketAddress&)>;

    // Fault::config for a value that makes no sense.  The resolver may be null when
    // params say that neither MX records nor addresses come from the DNS.
    static Result<HostFinder> open(const SmtpParams& params, dns::Resolver* resolver, std::string hostname,
                                   IsOwnAddress is_own);

    Task<HostList> find(const Nexthop& nexthop);

    // use_srv_lookup is about this one.
    bool looks_for_services(const Nexthop& nexthop) const;

    // Mail may not come back to this port of ours.
    bool may_loop(const Peer& peer) const
    {
        return !params_->is_lmtp() && peer.path.empty() && peer.address.port() == smtp_port;
    }
    bool is_own_name(std::string_view host) const;

    bool is_stale() const { return reply_filter_.is_stale(); }

private:
    static constexpr std::uint16_t smtp_port = 25;
    static constexpr std::size_t exchanger_limit = 50; // hosts of one domain whose addresses are asked for

    enum class Source { dns, native };
    // The addresses of one host, or the worst that happened while asking for them.
    struct Addresses {
        std::vector<SocketAddress> list;
        std::string canonical; // the host's name behind aliases, where that one is wanted
        std::optional<DeliveryStatus> failure;
    };

    // A host that a record of the DNS names.
    struct Server {
        std::string name;
        std::uint16_t port;
        unsigned preference;
        unsigned turn;
    };

    HostFinder() = default;
    Result<> set_completion();
    Task<Addresses> addresses(std::string host);
    Task<Addresses> ask_dns(std::string host);
    Task<Addresses> ask_dns_for(std::string spelling, const std::string& host);
    Addresses ask_hosts_file(const std::string& host) const;
    Task<HostList> hosts_of_domain(Nexthop nexthop);
    Task<HostList> exchangers(Nexthop nexthop);
    // nullopt: to be taken as if nobody had looked.
    Task<std::optional<HostList>> servers_of_service(Nexthop nexthop);
    Task<HostList> hosts_of(std::vector<Server> servers, bool secure);
    Task<HostList> single_host(Nexthop nexthop);

    const SmtpParams* params_ = nullptr;
    dns::Resolver* resolver_ = nullptr;
    std::string hostname_;
    IsOwnAddress is_own_;
    std::vector<Source> sources_;
    bool use_mx_ = true;
    bool ipv4_ = true;
    bool ipv6_ = true;
    HostOrder order_;
    NameCompletion completion_;
    dns::ReplyFilter reply_filter_;
    std::minstd_rand random_;
};

} // namespace bulkhead
