// postscreen_dnsbl_sites: lists of the DNS with their weights, and what their answers add up to
// for one client.  Nothing here asks anybody.
#pragma once

#include "base/result.h"
#include "dns/dns_lists.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

// "bl.example=127.0.0.[2..11]*3": weight 1 where none is given; negative for lists of welcome clients.
struct DnsSite {
    DnsList list;
    int weight = 1;
};
Result<DnsSite> parse_dns_site(std::string_view text);

// The lists of all sites, each domain once: sites that differ in their filters share one question.
std::vector<std::string> domains_of(const std::vector<DnsSite>& sites);

// The sum for one client while answers come in.
class Score
{
public:
    explicit Score(const std::vector<DnsSite>& sites) : sites_(sites) {}

    // All addresses that the domain has answered, and how long that is true (seconds).
    void add(std::string_view domain, const std::vector<SocketAddress>& answers, std::int64_t ttl);

    int total() const { return total_; }
    // The list with the greatest weight of those that have listed the client; empty: none.
    const std::string& worst() const { return worst_; }
    // The shortest of all answers; nullopt before the first.
    std::optional<std::int64_t> ttl() const { return ttl_; }

private:
    const std::vector<DnsSite>& sites_;
    int total_ = 0;
    int worst_weight_ = 0;
    std::string worst_;
    std::optional<std::int64_t> ttl_;
};

} // namespace bulkhead
