// alias_maps, and who owns each of the tables: commands and files of an alias are used with
// that user's rights.
#pragma once

#include "delivery/command_starter.h"
#include "table/table.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

struct FoundAlias {
    std::string key;
    std::string value;
    std::optional<CommandIdentity> owner; // nullopt: root's or unknown: default_privs
};

class AliasTables
{
public:
    // Looks at the files' owners now: call it before the jail.
    static AliasTables open(std::string_view list);

    // Found nowhere: nullopt.  Fault::broken: a table cannot answer.
    Result<std::optional<FoundAlias>> find(const std::string& key);

    bool may_block() const { return tables_.may_block(); }
    bool is_stale() const { return tables_.is_stale(); }
    const TableList& tables() const { return tables_; }

private:
    TableList tables_;
    std::vector<std::optional<CommandIdentity>> owners_; // in the tables' order
};

} // namespace bulkhead
