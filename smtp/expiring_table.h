// A table below data_directory that all processes of the client share: TLS sessions
// (smtp_tls_session_cache_database) and refused logins (smtp_sasl_auth_cache_name).  What has
// become too old is not found.
#pragma once

#include "async/scope.h"
#include "async/task.h"
#include "base/clock.h"
#include "base/result.h"
#include "table/timed_table.h"

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace bulkhead
{

class ExpiringTable
{
public:
    // Before the jail.  time: how long a value counts.
    static Result<std::unique_ptr<ExpiringTable>> open(std::string_view spec, Seconds time);

    // Any key; its digest is what stands in the table.  Empty: there is none, or it cannot be asked.
    Task<std::string> find(std::string key);

    // Stores it in the background.  What was kept by this process a short time ago stays.
    void keep(const std::string& key, std::string value);

private:
    static constexpr std::size_t busy_limit = 32;    // being stored at a time
    static constexpr std::size_t recent_limit = 512; // keys

    ExpiringTable(std::unique_ptr<TimedTable> table, Seconds time) : table_(std::move(table)), time_(time) {}
    static Task<> store(ExpiringTable* self, std::string key, std::string value);

    std::unique_ptr<TimedTable> table_;
    Seconds time_;
    std::map<std::string, SteadyTime> recent_; // by key of the table: when it was stored
    Scope storing_;
};

} // namespace bulkhead
