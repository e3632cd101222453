#include "table/settings.h"

#include "config/config.h"

#include <algorithm>

namespace bulkhead
{

TableSettings& table_settings()
{
    static TableSettings settings;
    return settings;
}

void take_table_settings(const Config& config)
{
    constexpr std::int64_t smallest = 64 << 10; // the library's own pages
    constexpr std::int64_t largest = std::int64_t{1} << 40;
    const std::int64_t size = config.get_int("lmdb_map_size").value_or(0);
    if (size > 0)
        table_settings().first_map_size = static_cast<std::size_t>(std::clamp(size, smallest, largest));
    const auto take = [&config](std::string_view name, std::size_t& limit) {
        if (const auto bytes = config.get_int(name); bytes && *bytes > 0)
            limit = static_cast<std::size_t>(*bytes);
    };
    take("socketmap_max_query_size", table_settings().socketmap_query_limit);
    take("socketmap_max_reply_size", table_settings().socketmap_reply_limit);
}

} // namespace bulkhead
