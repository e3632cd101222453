// Files that have served, for messages to come.  Where files come and go by the thousand,
// making and removing inodes is most of what a file system has to do (ext4 searches the
// recently deleted ones at every creation); a file that only changes its name is free of that.
//
// recycled/ holds empty files of mode 0600, locked by nobody.  Into it: the file of a message
// that is settled leaves its queue by one rename and is emptied there.  Out of it: whoever
// can lock a file renames it to the name of a new message.  A crash between two steps leaves
// in recycled/ a file that is not empty, which is removed when it is met, or in incoming/ an
// empty one of mode 0600, which is what a dead writer leaves anyway.  Emptied, not just
// overwritten: no block of an old message can ever show in a new one.
#pragma once

#include "base/clock.h"
#include "base/unique_fd.h"
#include "spool/paths.h"

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace bulkhead
{

// Safe to call from several threads at once.  Without a folder recycled/ nothing is kept
// and nothing is found.
class FilePool
{
public:
    static constexpr std::size_t default_limit = 256; // files

    // The spool must outlive the pool.
    explicit FilePool(const Spool& spool, std::size_t limit = default_limit) : spool_(spool), limit_(limit) {}

    // An empty file that is ours alone: open for reading and writing, locked.
    struct Spare {
        UniqueFd fd;
        std::string path; // relative to the spool's root
        std::uint64_t inode = 0;
    };
    std::optional<Spare> take();

    // Takes a file out of its queue, by its path relative to the root.  False: the file is
    // where it was (the pool is full, somebody else has it open and locked, ...).
    bool give(const std::string& path);

private:
    std::optional<std::string> next_name();
    std::optional<Spare> open_spare(const std::string& path) const;
    bool has_room();
    std::vector<std::string> list() const;

    const Spool& spool_;
    std::size_t limit_;
    std::mutex mutex_;
    std::vector<std::string> names_; // seen, perhaps taken by others since
    SteadyTime next_look_{};         // into an empty folder
    SteadyTime next_count_{};        // of a full one
    std::size_t given_ = 0;          // about so many are there
};

} // namespace bulkhead
