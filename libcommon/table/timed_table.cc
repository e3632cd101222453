#include "table/timed_table.h"

#include "base/text.h"

#include <fmt/format.h>

namespace bulkhead
{

Result<std::unique_ptr<TimedTable>> TimedTable::open(std::string_view spec, Seconds time)
{
    TRY(auto table, open_writable_table(spec));
    return std::unique_ptr<TimedTable>(new TimedTable(std::move(table), time));
}

bool TimedTable::is_expired(std::string_view value) const
{
    const auto stored = parse_unsigned(value.substr(0, value.find('\n')));
    const std::int64_t now = WallTime::now().seconds;
    return !stored || static_cast<std::int64_t>(*stored) > now ||
           now - static_cast<std::int64_t>(*stored) >= time_.count();
}

std::string TimedTable::find(std::string_view key)
{
    const Lookup found = table_->find(key);
    if (!found.is_found() || is_expired(found.value()))
        return {};
    const auto end = found.value().find('\n');
    return end == std::string::npos ? std::string() : found.value().substr(end + 1);
}

Result<> TimedTable::store(std::string_view key, std::string_view value)
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
