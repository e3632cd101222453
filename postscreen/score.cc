#include "score.h"

#include "base/text.h"

#include <algorithm>

#include <fmt/format.h>

namespace bulkhead
{

Result<DnsSite> parse_dns_site(std::string_view text)
{
    constexpr std::uint64_t most = 1'000'000;
    DnsSite site;
    const auto star = text.rfind('*');
    if (star != text.npos) {
        std::string_view digits = text.substr(star + 1);
        const bool negative = digits.starts_with('-');
        digits.remove_prefix(negative || digits.starts_with('+') ? 1 : 0);
        const auto number = parse_unsigned(digits);
        if (!number || *number > most)
            return Error{Fault::config, fmt::format("bad weight of a DNS list: \"{}\"", printable(text))};
        site.weight = negative ? -static_cast<int>(*number) : static_cast<int>(*number);
        text = text.substr(0, star);
    }
    TRY(site.list, DnsList::parse(text));
    return site;
}

std::vector<std::string> domains_of(const std::vector<DnsSite>& sites)
{
    std::vector<std::string> domains;
    for (const DnsSite& site : sites)
        if (std::ranges::find(domains, site.list.domain()) == domains.end())
            domains.push_back(site.list.domain());
    return domains;
}

void Score::add(std::string_view domain, const std::vector<SocketAddress>& answers, std::int64_t ttl)
{
    ttl_ = std::min(ttl_.value_or(ttl), ttl);
    for (const DnsSite& site : sites_) {
        const auto counts = [&](const SocketAddress& answer) { return site.list.counts(answer); };
        if (site.list.domain() != domain || std::ranges::none_of(answers, counts))
            continue;
        total_ += site.weight;
        if (site.weight > worst_weight_) {
            worst_weight_ = site.weight;
            worst_ = site.list.domain();
        }
    }
}

} // namespace bulkhead
