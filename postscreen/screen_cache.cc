#include "screen_cache.h"

#include "base/text.h"

namespace bulkhead
{

namespace
{

constexpr std::string_view cleaned_key = "_LAST_CACHE_CLEANUP_COMPLETED_";

} // namespace

Result<std::unique_ptr<ScreenCache>> ScreenCache::open(std::string_view table)
{
    auto cache = std::make_unique<ScreenCache>();
    TRY(cache->table_, open_writable_table(table));
    return cache;
}

Result<std::optional<TestResults>> ScreenCache::find(std::string_view address)
{
    using Answer = Result<std::optional<TestResults>>;
    return table_->find(address).match(
        [](const std::string& value) { return Answer(parse_test_results(value)); },
        [] { return Answer(std::nullopt); },
        [](const std::string& reason) { return Answer(Error{Fault::broken, reason}); });
}

Result<> ScreenCache::store(std::string_view address, const TestResults& results)
{
    return table_->store(address, entry_text(results));
}

Result<std::optional<ScreenCache::Cleaning>> ScreenCache::clean(std::int64_t now, std::int64_t interval,
                                                                std::int64_t retention)
{
    const Lookup before = table_->find(cleaned_key);
    if (before.is_broken())
        return Error{Fault::broken, before.reason()};
    const auto last = static_cast<std::int64_t>(before.is_found() ? parse_unsigned(before.value()).value_or(0)
                                                                  : std::uint64_t{0});
    if (last <= now && now - last < interval)
        return std::optional<Cleaning>();
    Cleaning done;
    for (std::string key;;) {
        TRY(const auto entry, table_->after(key));
        if (!entry)
            break;
        key = entry->key;
        if (key == cleaned_key)
            continue;
        const auto results = parse_test_results(entry->value);
        if (results && !results->is_forgotten(now, retention)) {
            ++done.retained;
            continue;
        }
        TRY_VOID(table_->remove(key));
        ++done.dropped;
    }
    TRY_VOID(table_->store(cleaned_key, std::to_string(now)));
    return std::optional(done);
}

} // namespace bulkhead
