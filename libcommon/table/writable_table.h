// Tables that a program changes while it runs: the caches of verify, tlsmgr and
// postscreen.  An LMDB file that is changed in place, or the same behind proxywrite.
// All calls may come from several threads at once, and may block.
#pragma once

#include "table/table.h"

#include <optional>
#include <string>
#include <string_view>

namespace bulkhead
{

class WritableTable : public Table
{
public:
    struct Entry {
        std::string key;
        std::string value;
    };

    // Adds or replaces; it is in the file when this returns.
    virtual Result<> store(std::string_view key, std::string_view value) = 0;

    // False: there was none.
    virtual Result<bool> remove(std::string_view key) = 0;

    // The entry behind this key in the table's own order, whether the key is there or not;
    // the first one for an empty key.  A walk needs no state and survives changes.
    virtual Result<std::optional<Entry>> after(std::string_view key) = 0;

    bool may_block() const override { return true; }
};

// "btree:name", "hash:name", "lmdb:name" (all are name.lmdb, which is made when there is
// none), or "proxy:" and one of these.  Open it before the jail.  queue_directory: where
// private/proxywrite is; empty: the current folder.
Result<std::unique_ptr<WritableTable>> open_writable_table(std::string_view spec,
                                                           const std::string& queue_directory = {});

// The file itself, without a process in between.
Result<std::unique_ptr<WritableTable>> open_cache_table(std::string_view name);

} // namespace bulkhead
