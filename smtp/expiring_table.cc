#include "expiring_table.h"

#include "base/text.h"
#include "log/log.h"
#include "table/ask.h"
#include "tls/context.h"

#include <fmt/format.h>

namespace bulkhead
{

Result<std::unique_ptr<ExpiringTable>> ExpiringTable::open(std::string_view spec, Seconds time)
{
    TRY(auto table, open_writable_table(spec));
    return std::unique_ptr<ExpiringTable>(new ExpiringTable(std::move(table), time));
}

// A value begins with the time in seconds when it was stored, and a line end.
bool ExpiringTable::is_expired(std::string_view value) const
{
    const auto stored = parse_unsigned(value.substr(0, value.find('\n')));
    const std::int64_t now = WallTime::now().seconds;
    return !stored || static_cast<std::int64_t>(*stored) > now ||
           now - static_cast<std::int64_t>(*stored) >= time_.count();
}

Task<std::string> ExpiringTable::find(std::string key)
{
    const std::string name = tls::digest(key);
    const auto look_up = [&] { return table_->find(name); };
    const Lookup found = co_await ask(true, look_up);
    if (!found.is_found() || is_expired(found.value()))
        co_return std::string();
    const auto end = found.value().find('\n');
    co_return end == std::string::npos ? std::string() : found.value().substr(end + 1);
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
    const auto job = [&] { return self->store_and_sweep(key, value); };
    const Result<> stored = co_await ask(true, job);
    if (!stored)
        log::warn(fmt::format("{}: {}", self->table_->spec(), stored.error().context));
}

// Whoever adds an entry looks at two others: the table does not grow for ever.
Result<> ExpiringTable::store_and_sweep(const std::string& key, const std::string& value)
{
    TRY_VOID(table_->store(key, fmt::format("{}\n{}", WallTime::now().seconds, value)));
    const std::lock_guard lock(sweeping_);
    for (int i = 0; i < 2; ++i) {
        TRY(const auto next, table_->after(swept_));
        swept_ = next ? next->key : std::string();
        if (next && is_expired(next->value))
            TRY_VOID(table_->remove(next->key));
    }
    return {};
}

} // namespace bulkhead
