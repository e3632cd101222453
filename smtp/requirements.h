// What the configuration demands of a delivery that this client cannot do yet: logging
// in.  Such mail waits; it is never bounced for want of a password.
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
    bool may_block() const { return passwords_.may_block(); }

    // Why mail for this next hop must wait; nullopt: it may go.
    std::optional<DeliveryStatus> unmet(std::string_view nexthop, std::string_view sender);

private:
    bool demands_login(std::string_view nexthop, std::string_view sender, std::string& broken);

    bool sasl_ = false;
    TableList passwords_;
};

} // namespace bulkhead
