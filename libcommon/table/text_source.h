// The text that tables are made from: `key value` lines for postmap and texthash, and
// `key: value` lines of aliases(5) for postalias.
#pragma once

#include "base/result.h"

#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

struct SourceEntry {
    std::string key;
    std::string value;
    int line = 0;
};

struct TextSource {
    static constexpr std::size_t size_limit = 1 << 30;

    std::vector<SourceEntry> entries;  // in file order, duplicates included
    std::vector<std::string> warnings; // lines that were skipped or look wrong: "file, line 3: reason"

    // fold lower-cases the keys; utf8 does so for all letters, and skips lines that are not UTF-8.
    static TextSource parse_map(std::string_view text, std::string_view file, bool fold, bool utf8 = true);
    static TextSource parse_aliases(std::string_view text, std::string_view file, bool fold,
                                    bool utf8 = true);

    // True when every line has the form `name: value`: postalias makes a database of such a file.
    static bool looks_like_aliases(std::string_view text);
};

} // namespace bulkhead
