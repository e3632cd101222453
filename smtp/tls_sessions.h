// TLS sessions for all processes of the client: a table below data_directory, as
// smtp_tls_session_cache_database names it.  Each process has its own in memory besides; this is
// asked when it knows none, and told of new ones, rarely.
#pragma once

#include "async/scope.h"
#include "async/task.h"
#include "base/clock.h"
#include "base/result.h"
#include "table/writable_table.h"

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace bulkhead
{

class TlsSessions
{
public:
    // Before the jail.  time: how long a session may be resumed.
    static Result<std::unique_ptr<TlsSessions>> open(std::string_view spec, Seconds time);

    // The session that was kept under this key, as the library has written it; empty: none.
    Task<std::string> find(std::string key);

    // Stores it in the background.  Servers send new ones with each connection: what was kept a
    // short time ago stays.
    void keep(const std::string& key, std::string session);

private:
    static constexpr std::size_t busy_limit = 32;    // being stored at a time
    static constexpr std::size_t recent_limit = 512; // keys

    TlsSessions(std::unique_ptr<WritableTable> table, Seconds time) : table_(std::move(table)), time_(time) {}
    static Task<> store(TlsSessions* self, std::string key, std::string session);
    Result<> store_and_sweep(const std::string& key, const std::string& session);
    bool is_expired(std::string_view value) const;

    std::unique_ptr<WritableTable> table_;
    Seconds time_;
    std::map<std::string, SteadyTime> recent_; // by key of the table: when it was stored
    std::mutex sweeping_;
    std::string swept_; // up to this key; under sweeping_
    Scope storing_;
};

} // namespace bulkhead
