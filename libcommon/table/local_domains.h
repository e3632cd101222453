// Which domains are this machine itself: those of mydestination, and the address
// literals of its own interfaces and of the proxies in front of it.  Used wherever
// "local" must mean the same: routing, address mapping, relay control.
#pragma once

#include "base/result.h"
#include "table/domain_list.h"
#include "table/network.h"

#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

class LocalDomains
{
public:
    struct Settings {
        std::string mydestination;
        std::vector<std::string> inet_interfaces;  // "all", "loopback-only", names and addresses
        std::vector<std::string> proxy_interfaces; // names and addresses
    };

    LocalDomains() = default;

    // Names are resolved and tables opened now: call it before the jail.  A name of an
    // interface that has no address is Fault::config.
    static Result<LocalDomains> open(const Settings& settings);

    // domain: a name, or a literal with its brackets.
    ListMatch contains(std::string_view domain) const;

    bool may_block() const { return names_.may_block(); }
    bool is_stale() const { return names_.is_stale(); }

private:
    MatchList names_;
    std::vector<IpAddress> addresses_;
};

} // namespace bulkhead
