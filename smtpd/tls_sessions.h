// TLS sessions of clients without tickets, for all processes of the server: a table below
// data_directory, as smtpd_tls_session_cache_database names it.  It is read in the middle of a
// handshake, which cannot wait, so that it has to be a file.
#pragma once

#include "async/scope.h"
#include "async/task.h"
#include "base/clock.h"
#include "base/result.h"
#include "table/timed_table.h"

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace bulkhead
{

class ServerTlsSessions
{
public:
    // Before the jail.  service: whose sessions may be resumed here.
    static Result<std::unique_ptr<ServerTlsSessions>> open(std::string_view spec, std::string service,
                                                           Seconds time);

    // In the library's own form; empty: none.
    std::string find(std::string_view id) { return table_->find(key(id)); }

    // Stores it in the background.  When too much is being stored already it is forgotten: its
    // client will make another.
    void keep(std::string_view id, std::string session);

private:
    static constexpr std::size_t busy_limit = 32; // being stored at a time

    ServerTlsSessions(std::unique_ptr<TimedTable> table, std::string service)
        : table_(std::move(table)), service_(std::move(service))
    {
    }
    static Task<> store(ServerTlsSessions* self, std::string key, std::string session);
    std::string key(std::string_view id) const;

    std::unique_ptr<TimedTable> table_;
    std::string service_;
    Scope storing_;
};

} // namespace bulkhead
