// Changes single definitions of main.cf or master.cf and leaves the rest, comments
// included, as it was.
#pragma once

#include "base/result.h"

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bulkhead
{

struct FileEdit {
    enum class Kind {
        replace,     // the last definition of the key; added at the end if there is none
        remove,      // every definition of the key
        comment_out, // every definition of the key
    };
    std::string key;
    Kind kind = Kind::replace;
    std::string text; // of a replacement: whole lines without the last line end
};

// The key that a logical line defines: "name" in main.cf, "service/type" in master.cf.
using LineKey = std::function<std::string(std::string_view first_line)>;

std::string main_cf_key(std::string_view line);
std::string master_cf_key(std::string_view line);

// The new contents.
std::string edit_text(std::string_view text, const LineKey& key_of, const std::vector<FileEdit>& edits);

// Replaces a file by way of a temporary one beside it, keeping mode and owner; a symbolic link
// stays a link.
Result<> replace_file(const std::string& path, std::string_view contents);

} // namespace bulkhead
