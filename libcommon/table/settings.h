// What holds for all tables of a process; set before the first one is opened.
#pragma once

#include <cstddef>
#include <string_view>

namespace bulkhead
{

class Config;

struct TableSettings {
    std::size_t first_map_size = std::size_t{16} << 20; // of a new LMDB file, bytes; it grows
    std::size_t socketmap_query_limit = 10'000;         // bytes
    std::size_t socketmap_reply_limit = 100'000;
    bool open_error_is_fatal = false; // else each look-up fails
};

TableSettings& table_settings();

// lmdb_map_size, socketmap_max_query_size, socketmap_max_reply_size.
void take_table_settings(const Config& config);

} // namespace bulkhead
