// postscreen_cache_map: the results of tests by client address.  All calls may block; one
// process writes.
#pragma once

#include "test_results.h"

#include "base/result.h"
#include "table/writable_table.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead
{

class ScreenCache
{
public:
    // Before the jail.
    static Result<std::unique_ptr<ScreenCache>> open(std::string_view table);

    // nullopt: not there, or an entry that nobody can read.
    Result<std::optional<TestResults>> find(std::string_view address);
    Result<> store(std::string_view address, const TestResults& results);

    struct Cleaning {
        std::size_t retained = 0;
        std::size_t dropped = 0;
    };
    // Removes what is forgotten, unless that was done less than `interval` seconds ago (nullopt).
    Result<std::optional<Cleaning>> clean(std::int64_t now, std::int64_t interval, std::int64_t retention);

private:
    std::unique_ptr<WritableTable> table_;
};

} // namespace bulkhead
