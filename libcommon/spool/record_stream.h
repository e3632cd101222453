// Records from a queue file, block by block.  A file that was edited in place has
// its records out of order and pointer records that say where to go on: this is
// the only place that follows them.
#pragma once

#include "base/result.h"
#include "spool/record.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

namespace bulkhead
{

// A record and the offset of its type byte.
struct FileRecord {
    std::int64_t offset = 0;
    RecordType type{};
    std::string_view data; // until the next call

    bool is(RecordType wanted) const { return type == wanted; }
};

enum class Pointers { follow, show };

// Records in the order of reading (Pointers::follow; p records are not shown)
// or in the order of the file (Pointers::show).  Reads blocks of 64 KiB.
class RecordStream
{
public:
    static constexpr std::size_t block_size = 64 * 1024;
    static constexpr std::size_t max_record = 16 * 1024 * 1024;
    static constexpr int max_backward_jumps = 10000;

    // `fd` stays the caller's and must outlive the stream.
    explicit RecordStream(int fd, Pointers pointers = Pointers::follow, std::int64_t offset = 0);
    // The same over bytes in memory, which must outlive the stream.
    explicit RecordStream(std::string_view bytes, Pointers pointers = Pointers::follow,
                          std::int64_t offset = 0);

    // nullopt at the end of the bytes, where a pointer out of the file leads too.
    // Fault::malformed: cut or overlong record, bad pointer, too many jumps, a
    // loop of pointers.  Fault::io.
    Result<std::optional<FileRecord>> next();

    // For those who look at a small part of each of many files.
    void read_blocks_of(std::size_t bytes) { block_size_ = bytes; }

    // Goes on somewhere else.  Does not count as a jump.
    void seek(std::int64_t offset) { offset_ = offset; }
    // Offset of the record that next() reads (before a jump, if that is a pointer).
    std::int64_t offset() const { return offset_; }

    int backward_jumps() const { return backward_jumps_; }
    // For a stream that goes on where another one stopped.
    void count_jumps_from(int made) { backward_jumps_ = made; }

private:
    Result<> jump(std::int64_t from, std::string_view data);
    Result<std::string_view> window(std::size_t wanted);

    int fd_ = -1;
    Pointers pointers_;
    std::int64_t offset_ = 0;
    int backward_jumps_ = 0;
    std::int64_t consumed_ = 0; // bytes of the records given so far
    std::int64_t furthest_ = 0; // highest end of one

    std::string_view held_; // bytes of the file from held_at_ on
    std::int64_t held_at_ = 0;
    bool held_to_end_ = false; // held_ reaches the end of the file
    std::unique_ptr<char[]> block_;
    std::size_t block_capacity_ = 0;
    std::size_t block_size_ = block_size;
};

} // namespace bulkhead
