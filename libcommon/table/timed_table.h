// A table of things that are good for a time: TLS sessions.  A value begins with the second
// when it was stored; old ones are no answer, and go as others come.
#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "table/writable_table.h"

#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace bulkhead
{

class TimedTable
{
public:
    // Before the jail.  spec: as of open_writable_table(); time: how long a value is good.
    static Result<std::unique_ptr<TimedTable>> open(std::string_view spec, Seconds time);

    // Empty: none that is still good.  May block when the table is behind a proxy; a file is read
    // in microseconds, whoever writes to it.
    std::string find(std::string_view key);

    // Blocks.  Whoever adds an entry looks at two others: the table does not grow for ever.
    Result<> store(std::string_view key, std::string_view value);

    const std::string& spec() const { return table_->spec(); }

private:
    TimedTable(std::unique_ptr<WritableTable> table, Seconds time) : table_(std::move(table)), time_(time) {}
    bool is_expired(std::string_view value) const;

    std::unique_ptr<WritableTable> table_;
    Seconds time_;
    std::mutex sweeping_;
    std::string swept_; // up to this key; under sweeping_
};

} // namespace bulkhead
