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

void take_map_size(const Config& config)
{
    constexpr std::int64_t smallest = 64 << 10; // the library's own pages
    constexpr std::int64_t largest = std::int64_t{1} << 40;
    const std::int64_t size = config.get_int("lmdb_map_size").value_or(0);
    if (size > 0)
        table_settings().first_map_size = static_cast<std::size_t>(std::clamp(size, smallest, largest));
}

} // namespace bulkhead
