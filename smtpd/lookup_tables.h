// The tables of one parameter.  A table that cannot be opened (a type that nobody knows,
// not made yet, no permission) makes every look-up a temporary failure, so that mail
// waits and everything else of the service works.
#pragma once

#include "table/address_lookup.h"
#include "table/table.h"

#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

class LookupTables
{
public:
    LookupTables() = default;

    // Logs what cannot be opened.
    static LookupTables open(std::string_view list);

    bool empty() const { return tables_.empty() && broken_.empty(); }
    bool is_stale() const { return tables_.is_stale(); }

    // The keys in order; the first hit wins.
    Lookup find(const std::vector<AddressKey>& keys);

private:
    TableList tables_;
    std::string broken_; // why the tables could not be opened
};

} // namespace bulkhead
