// The entries of the commit log, as bytes: a header, then the whole image of a queue file.
// Pure: segments are read from memory, entries are made in memory.  What the log is for and
// how it is kept is told in commit_log.h and docs/commit-log.md.
//
// A segment is a row of batches; each starts on a page (4096 bytes) and was written and
// synced as one.  Inside a batch entries follow each other at multiples of 8.  Little endian:
//   0 magic  4 checksum of bytes 8 to 127  8 key (16)  24 checksum of the image
//   28 size of the image  32 serial  40 generation  48 batch  56 time  64 slot
//   68 length of the id  69 id (59)
// The key is a secret of the log's folder: no sender can put into a message what a reader
// would take for an entry.  The generation tells this use of a segment from earlier ones.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

inline constexpr std::size_t log_header_bytes = 128;
inline constexpr std::size_t log_page = 4096;
inline constexpr std::size_t max_log_id = 59;
inline constexpr std::size_t max_log_image = 64 * 1024; // larger mail gets a file at once

using LogKey = std::array<char, 16>;

struct LogHeader {
    std::uint64_t serial = 0;     // never the same twice in one folder
    std::uint64_t generation = 0; // of the segment
    std::uint64_t batch = 0;      // serial of the first entry that was synced together with this one
    std::int64_t time = 0;        // seconds
    std::uint32_t slot = 0;
    std::uint32_t image_bytes = 0;
    std::uint32_t image_checksum = 0;
    std::string id;
};

// CRC-32C.
std::uint32_t checksum(std::string_view bytes, std::uint32_t before = 0);

// How far an entry reaches, up to where the next of its batch starts.
constexpr std::size_t log_entry_bytes(std::size_t image_bytes)
{
    return (log_header_bytes + image_bytes + 7) / 8 * 8;
}

void append_log_header(std::string& out, const LogKey& key, const LogHeader& header);

// False: these bytes are no header of this log.
bool parse_log_header(std::string_view bytes, const LogKey& key, LogHeader& header);

// The image as it was before agents marked recipients as done.
std::string without_marks(std::string_view image);

// True when the image is the one that the checksum was made of; recipients that were marked
// done meanwhile do not count.
bool is_intact(std::string_view image, std::uint32_t wanted);

struct LogEntry {
    LogHeader header;
    std::size_t offset = 0; // of the header
    std::string_view image; // in the bytes that were read
    bool intact = false;
};

// All entries of the youngest generation.  Damage costs the entries that it has hit only.
std::vector<LogEntry> read_log_segment(std::string_view bytes, const LogKey& key);

} // namespace bulkhead
