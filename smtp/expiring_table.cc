#include "expiring_table.h"

#include "log/log.h"
#include "table/ask.h"
#include "tls/context.h"

#include <fmt/format.h>

namespace bulkhead
{

Result<std::unique_ptr<ExpiringTable>> ExpiringTable::open(std::string_view spec, Seconds time)
{
    TRY(auto table, TimedTable::open(spec, time));
    return std::unique_ptr<ExpiringTable>(new ExpiringTable(std::move(table), time));
}

Task<std::string> ExpiringTable::find(std::string key)
{
    const std::string name = tls::digest(key);
    const auto look_up = [&] { return table_->find(name); };
    co_return co_await ask(true, look_up);
}

void ExpiringTable::keep(const std::string& key, std::string value)
{
    std::string name = tls::digest(key);
    const SteadyTime now = SteadyClock::now();
    const auto last = recent_.find(name);
    if (storing_.size() >= busy_limit || (last != recent_.end() && now - last->second < time_ / 4))
        return;
    if (recent_.size() >= recent_limit)
        recent_.clear();
    recent_[name] = now;
    storing_.spawn(store, this, std::move(name), std::move(value));
}

Task<> ExpiringTable::store(ExpiringTable* self, std::string key, std::string value)
{
    const auto job = [&] { return self->table_->store(key, value); };
    const Result<> stored = co_await ask(true, job);
    if (!stored)
        log::warn(fmt::format("{}: {}", self->table_->spec(), stored.error().context));
}

} // namespace bulkhead
