// The DNS as rules see it: without the records that smtpd_dns_reply_filter drops.  Names of clients
// are looked up the way the system's library does it, which no filter reaches.
#pragma once

#include "dns/reply_filter.h"

#include <string>
#include <utility>

namespace bulkhead
{

class FilteredResolver
{
public:
    // resolver outlives us; null: nothing may be asked.
    explicit FilteredResolver(dns::Resolver* resolver) : resolver_(resolver) {}

    explicit operator bool() const { return resolver_ != nullptr; }
    void set_filter(dns::ReplyFilter filter) { filter_ = std::move(filter); }
    bool is_stale() const { return filter_.is_stale(); }

    Task<dns::Answer<dns::MxRecord>> mx(std::string domain)
    {
        auto answer = co_await resolver_->mx(domain);
        co_await filter_.apply(domain, dns::Type::mx, answer);
        co_return answer;
    }
    Task<dns::Answer<dns::HostRecord>> ns(std::string domain)
    {
        auto answer = co_await resolver_->ns(domain);
        co_await filter_.apply(domain, dns::Type::ns, answer);
        co_return answer;
    }
    Task<dns::Answer<SocketAddress>> a(std::string host)
    {
        auto answer = co_await resolver_->a(host);
        co_await filter_.apply(host, dns::Type::a, answer);
        co_return answer;
    }
    Task<dns::Answer<SocketAddress>> aaaa(std::string host)
    {
        auto answer = co_await resolver_->aaaa(host);
        co_await filter_.apply(host, dns::Type::aaaa, answer);
        co_return answer;
    }

private:
    dns::Resolver* resolver_;
    dns::ReplyFilter filter_;
};

} // namespace bulkhead
