// What holds for all tables of a process; set before the first one is opened.
#pragma once

#include <cstddef>
#include <string_view>

namespace bulkhead
{

class Config;

struct TableSettings {
    std::size_t first_map_size = std::size_t{16} << 20; // of a new LMDB file, bytes; it grows
    bool open_error_is_fatal = false;                   // else each look-up fails
};

TableSettings& table_settings();

// lmdb_map_size.
void take_map_size(const Config& config);

} // namespace bulkhead
