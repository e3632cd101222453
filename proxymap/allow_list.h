// Which tables a service gives out: those that proxy_read_maps or proxy_write_maps name
// as "proxy:type:name".  Both are long lists of other parameters' values, in which most
// words are no tables at all.  Pure text.
#pragma once

#include <set>
#include <string>
#include <string_view>

namespace bulkhead
{

class AllowList
{
public:
    // The value of the parameter, expanded.
    explicit AllowList(std::string_view value) { add(value, 0); }

    // table: "type:name", as behind "proxy:".
    bool allows(std::string_view table) const { return tables_.contains(table); }
    std::size_t size() const { return tables_.size(); }

private:
    void add(std::string_view list, int depth);

    std::set<std::string, std::less<>> tables_;
};

} // namespace bulkhead
