// Changes single definitions of main.cf or master.cf and leaves the rest, comments
// included, as it was.  Files are replaced whole, under a lock, so that a reader sees the
// old or the new one and two editors at once lose nothing.
#pragma once

#include "base/result.h"

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

// What becomes of one definition (a logical line: a line and those that continue it).
// Comments and empty lines between its lines always stay.
struct DefinitionChange {
    enum class Kind {
        replace,        // the text takes the place of its first line
        replace_at_end, // the text stands after comments inside of it
        remove,
        comment_out,
    };
    Kind kind = Kind::replace;
    std::string text; // of a replacement: whole lines without the last line end
};

// Asked once per definition, in the order of the file, with its joined text; nullopt
// leaves it as it is.
using EditRule = std::function<std::optional<DefinitionChange>(std::string_view definition)>;

// The new contents.  Lines that have no line end get one where something follows.
std::string edit_text(std::string_view text, const EditRule& rule);

// Adds lines at the end.
void append_lines(std::string& text, std::string_view lines);

// Changes single names or services: the key is what key_of() finds in a definition.
struct FileEdit {
    enum class Kind {
        replace, // every definition of the key; added at the end if there is none
        remove,
        comment_out,
    };
    std::string key;
    Kind kind = Kind::replace;
    std::string text; // of a replacement
};

// The key that a logical line defines: "name" in main.cf, "service/type" in master.cf.
using LineKey = std::function<std::string(std::string_view first_line)>;

std::string main_cf_key(std::string_view line);
std::string master_cf_key(std::string_view line);

// The new contents; repeated, if given, gets the keys that were changed in more than one place.
std::string edit_text(std::string_view text, const LineKey& key_of, const std::vector<FileEdit>& edits,
                      std::vector<std::string>* repeated = nullptr);

// New contents from old ones.
using FileChange = std::function<Result<std::string>(std::string_view text)>;

// Reads a file of at most `limit` bytes, changes it and puts the result in its place by
// way of "<file>.tmp" beside it; mode and owner stay, a symbolic link stays a link.  The folder is
// locked meanwhile: another process that edits in it waits (at most half a minute).
Result<> rewrite_file(const std::string& path, std::size_t limit, const FileChange& change);

} // namespace bulkhead
