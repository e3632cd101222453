#include "tls_sessions.h"

#include "log/log.h"
#include "table/ask.h"
#include "tls/context.h"

#include <fmt/format.h>

namespace bulkhead
{

Result<std::unique_ptr<ServerTlsSessions>> ServerTlsSessions::open(std::string_view spec, std::string service,
                                                                   Seconds time)
{
    if (spec.starts_with("proxy:"))
        return Error{Fault::config, "a handshake cannot wait for a proxy"};
    TRY(auto table, TimedTable::open(spec, time));
    return std::unique_ptr<ServerTlsSessions>(new ServerTlsSessions(std::move(table), std::move(service)));
}

// Whoever reads the file has no ids to show at the door.
std::string ServerTlsSessions::key(std::string_view id) const
{
    return tls::digest(fmt::format("{}\n{}", service_, id));
}

void ServerTlsSessions::keep(std::string_view id, std::string session)
{
    if (storing_.size() < busy_limit)
        storing_.spawn(store, this, key(id), std::move(session));
}

Task<> ServerTlsSessions::store(ServerTlsSessions* self, std::string key, std::string session)
{
    const auto job = [&] { return self->table_->store(key, session); };
    const Result<> stored = co_await ask(true, job);
    if (!stored)
        log::warn(fmt::format("{}: {}", self->table_->spec(), stored.error().context));
}

} // namespace bulkhead
