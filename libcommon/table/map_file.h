// The databases that postmap and postalias make (hash, btree and lmdb: LMDB; cdb), whatever their
// format: a new file is written beside the old one and renamed over it, so a reader sees the old or
// the new contents; and a whole database made from its source.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "table/table.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead
{

// Whether keys and values end in a NUL byte; `either` for reading: both are tried.
enum class NulEnding { either, with, without };

// What to do with a key that is there already.
enum class Duplicate { refuse, replace };

// hash:/etc/x -> /etc/x.lmdb, cdb:/etc/x -> /etc/x.cdb; nullopt for a type without databases.
std::optional<std::string> map_path(std::string_view type, std::string_view name);

// A file that exists under a name of its own until commit(); every other end removes it.
class NewMapFile
{
public:
    // In the folder of `path`.  Mode of the present file, or of `like`, or 0644; root also gives it the
    // owner.
    static Result<NewMapFile> create(const std::string& path, const std::string& like);
    NewMapFile(NewMapFile&& other) noexcept;
    NewMapFile& operator=(NewMapFile&& other) noexcept;
    ~NewMapFile();

    const std::string& path() const { return path_; }           // as it will be
    const std::string& temporary() const { return temporary_; } // as it is
    int fd() const { return fd_.get(); }
    Result<> commit() &&; // renames; what it holds must be on disk

private:
    NewMapFile() = default;
    std::string path_;
    std::string temporary_;
    UniqueFd fd_;
};

// Waits until nobody else holds the present database, and keeps others waiting while it lives.  For changes
// of a part of it; no file, no lock.
class MapLock
{
public:
    static Result<MapLock> wait(const std::string& path);

private:
    UniqueFd fd_;
};

class MapWriter
{
public:
    virtual ~MapWriter() = default;
    // Fault::refused for a duplicate.
    virtual Result<> put(std::string_view key, std::string_view value, NulEnding ending,
                         Duplicate duplicate) = 0;
    // On disk, then renamed; nothing may follow.
    virtual Result<> commit() = 0;
};

// keep_old: starts with the entries of the present file; not for cdb.
Result<std::unique_ptr<MapWriter>> create_map(std::string_view type, std::string_view name,
                                              const std::string& like, bool keep_old);

// While it lives, a process of root acts as the owner of a file: a database that belongs into
// somebody's folder is written with that user's rights, so nothing there can trick root.
class OwnerOf
{
public:
    static Result<OwnerOf> enter(const std::string& path, bool keep_root);
    OwnerOf(OwnerOf&& other) noexcept : changed_(std::exchange(other.changed_, false)) {}
    OwnerOf& operator=(OwnerOf&&) = delete;
    ~OwnerOf();

private:
    OwnerOf() = default;
    bool changed_ = false;
};

struct MapBuild {
    std::string type;
    std::string name;
    std::string myhostname; // for alias databases
    bool is_aliases = false;
    bool fold = true;
    bool utf8 = true;
    bool from_stdin = false; // adds to the present entries (-i)
    bool replace = false;
    bool is_quiet = false; // no warning of duplicates
    bool inherit_mode = true;
    bool keep_root = false;
    bool values_are_files = false;
    NulEnding ending = NulEnding::without;
};

// Reads the source and writes the database; bad lines and duplicates are logged and skipped.
Result<> build_map(const MapBuild& build);

// A Berkeley DB file name.db lies where name.lmdb should: makes that from the source `name` if there is one,
// one process at a time, as the owner of the source, and logs it.  The error says what to run by hand.
Result<> rebuild_berkeley_map(std::string_view type, std::string_view name, bool is_aliases);

// Postfix's warning for a database that is older than its source.  Sources of the last 100 seconds do not
// count: somebody is just working on them.
void warn_if_older_than_source(const std::string& database, const std::string& source);

} // namespace bulkhead
