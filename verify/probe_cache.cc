#include "probe_cache.h"

#include "base/text.h"

#include <algorithm>

namespace bulkhead
{

namespace
{

constexpr std::string_view cleaned_key = "_LAST_CACHE_CLEANUP_COMPLETED_";
constexpr std::size_t memory_limit = 100'000; // entries

} // namespace

Result<std::unique_ptr<ProbeCache>> ProbeCache::open(std::string_view table)
{
    auto cache = std::make_unique<ProbeCache>();
    if (!table.empty()) {
        TRY(cache->table_, open_writable_table(table));
    }
    return cache;
}

Result<std::optional<std::string>> ProbeCache::get(std::string_view key)
{
    if (!table_) {
        const std::lock_guard lock(mutex_);
        const auto found = memory_.find(key);
        return found == memory_.end() ? std::optional<std::string>() : std::optional(found->second);
    }
    return table_->find(key).match(
        [](const std::string& value) { return Result<std::optional<std::string>>(value); },
        [] { return Result<std::optional<std::string>>(std::optional<std::string>()); },
        [](const std::string& reason) {
            return Result<std::optional<std::string>>(Error{Fault::broken, reason});
        });
}

Result<> ProbeCache::put(std::string_view key, std::string_view value)
{
    if (table_)
        return table_->store(key, value);
    const std::lock_guard lock(mutex_);
    if (memory_.size() >= memory_limit && !memory_.contains(key))
        return Error{Fault::limit, "the cache in memory is full: set address_verify_map"};
    memory_.insert_or_assign(std::string(key), std::string(value));
    return {};
}

Result<> ProbeCache::remove(std::string_view address)
{
    if (table_) {
        TRY_VOID(table_->remove(address));
        return {};
    }
    const std::lock_guard lock(mutex_);
    if (const auto found = memory_.find(address); found != memory_.end())
        memory_.erase(found);
    return {};
}

Result<std::optional<WritableTable::Entry>> ProbeCache::after(std::string_view key)
{
    if (table_)
        return table_->after(key);
    const std::lock_guard lock(mutex_);
    const auto next = memory_.upper_bound(key);
    if (next == memory_.end())
        return std::optional<WritableTable::Entry>();
    return std::optional(WritableTable::Entry{next->first, next->second});
}

Result<KnownAddress> ProbeCache::find(std::string_view address)
{
    TRY(const auto value, get(address));
    if (!value)
        return KnownAddress();
    return parse_known_address(*value).value_or(KnownAddress());
}

Result<> ProbeCache::store(std::string_view address, const KnownAddress& known)
{
    return put(address, cache_value(known));
}

Result<std::optional<std::size_t>> ProbeCache::clean(std::int64_t now, std::int64_t interval,
                                                     const VerifyTimes& times)
{
    TRY(const auto last_text, get(cleaned_key));
    const auto last = static_cast<std::int64_t>(parse_unsigned(last_text.value_or("")).value_or(0));
    if (last <= now && now - last < interval)
        return std::optional<std::size_t>();
    std::size_t removed = 0;
    for (std::string key;;) {
        TRY(const auto entry, after(key));
        if (!entry)
            break;
        key = entry->key;
        if (key == cleaned_key)
            continue;
        const auto known = parse_known_address(entry->value);
        if (known && !is_expired(*known, now, times))
            continue;
        TRY_VOID(remove(key));
        ++removed;
    }
    TRY_VOID(put(cleaned_key, std::to_string(now)));
    return std::optional(removed);
}

} // namespace bulkhead
