#include "lookup_tables.h"

#include "log/log.h"

namespace bulkhead
{

LookupTables LookupTables::open(std::string_view list)
{
    LookupTables result;
    auto tables = TableList::open(list);
    if (tables) {
        result.tables_ = *std::move(tables);
        return result;
    }
    result.broken_ = tables.error().context;
    log::error(result.broken_);
    return result;
}

Lookup LookupTables::find(const std::vector<AddressKey>& keys)
{
    if (!broken_.empty())
        return Lookup::broken(broken_);
    return find_first(tables_, keys);
}

} // namespace bulkhead
