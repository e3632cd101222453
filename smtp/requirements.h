// What the configuration demands of a delivery that this client cannot do yet: TLS
// and logging in.  Such mail waits; it is never sent in clear against the
// configuration, and never bounced for want of a password.
#pragma once

#include "base/result.h"
#include "params.h"
#include "table/table.h"
#include "worker/delivery_agent.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

class Requirements
{
public:
    // Opens the tables: before the jail.
    static Result<Requirements> open(const SmtpParams& params);

    // One line for the log at start; empty: nothing is asked for.
    std::string warning() const;

    // unmet() may wait for another process: use co_await ask().
    bool may_block() const { return policies_.may_block() || passwords_.may_block(); }

    // Why mail for this next hop must wait; nullopt: it may go in clear.
    std::optional<DeliveryStatus> unmet(std::string_view nexthop, std::string_view sender);

private:
    bool demands_login(std::string_view nexthop, std::string_view sender, std::string& broken);

    std::string level_; // of every next hop without a policy of its own
    bool wrapper_ = false;
    bool sasl_ = false;
    TableList policies_;
    TableList passwords_;
};

// Under which keys a next hop is looked up: as it is written, its bare host, the
// host's parents as ".parent".
std::vector<std::string_view> policy_keys(std::string_view nexthop);

// Levels at which mail must not go in clear; dane is among them because without a
// look at the TLSA record nobody can say that it may.
bool demands_encryption(std::string_view level);

} // namespace bulkhead
