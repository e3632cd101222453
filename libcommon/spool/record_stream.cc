#include "spool/record_stream.h"

#include "spool/io.h"

#include <fmt/format.h>

#include <algorithm>

namespace bulkhead
{

// No record needs more bytes than this to know its length.
static constexpr std::size_t longest_header = 5;

RecordStream::RecordStream(int fd, Pointers pointers, std::int64_t offset)
    : fd_(fd), pointers_(pointers), offset_(offset)
{
}

RecordStream::RecordStream(std::string_view bytes, Pointers pointers, std::int64_t offset)
    : pointers_(pointers), offset_(offset), held_(bytes), held_to_end_(true)
{
}

Result<std::optional<FileRecord>> RecordStream::next()
{
    for (;;) {
        TRY(const std::string_view head, window(longest_header));
        if (head.empty())
            return std::optional<FileRecord>{};
        TRY(RecordPeek peek, peek_record(head));
        if (peek.encoded == 0) {
            if (peek.needed > max_record)
                return Error{Fault::malformed, fmt::format("record at offset {} is too long", offset_)};
            TRY(const std::string_view whole, window(peek.needed));
            TRY(peek, peek_record(whole));
            if (peek.encoded == 0)
                return Error{Fault::malformed, fmt::format("record at offset {} is cut short", offset_)};
        }
        const std::int64_t at = offset_;
        offset_ += static_cast<std::int64_t>(peek.encoded);
        consumed_ += static_cast<std::int64_t>(peek.encoded);
        furthest_ = std::max(furthest_, offset_);
        if (!peek.record.is(RecordType::pointer) || pointers_ == Pointers::show)
            return std::optional(FileRecord{at, peek.record.type, peek.record.data});
        TRY_VOID(jump(at, peek.record.data));
    }
}

// Besides the limit on backward jumps: whoever follows the pointers of a sound
// file reads no byte twice, so reading more bytes than there are is a loop.
Result<> RecordStream::jump(std::int64_t from, std::string_view data)
{
    const auto target = parse_fixed_number(data);
    if (!target || *target < 0)
        return Error{Fault::malformed, fmt::format("bad pointer record at offset {}", from)};
    if (*target == 0)
        return {};
    if (*target <= from && (++backward_jumps_ > max_backward_jumps || consumed_ > furthest_))
        return Error{Fault::malformed, fmt::format("pointer records form a loop at offset {}", from)};
    offset_ = *target;
    return {};
}

// Bytes of the file from offset_ on: at least `wanted`, or all up to the end.
Result<std::string_view> RecordStream::window(std::size_t wanted)
{
    const std::int64_t inside = offset_ - held_at_;
    if (inside >= 0 && inside <= static_cast<std::int64_t>(held_.size())) {
        const std::string_view rest = held_.substr(static_cast<std::size_t>(inside));
        if (rest.size() >= wanted || held_to_end_)
            return rest;
    }
    if (fd_ < 0 || offset_ < 0)
        return std::string_view{};
    const std::size_t capacity = std::max(wanted, block_size_);
    if (capacity > block_capacity_) {
        held_ = {};
        block_ = std::make_unique_for_overwrite<char[]>(capacity);
        block_capacity_ = capacity;
    }
    TRY(const std::size_t size, read_at(fd_, block_.get(), block_capacity_, offset_));
    held_ = {block_.get(), size};
    held_at_ = offset_;
    held_to_end_ = size < block_capacity_;
    return held_;
}

} // namespace bulkhead
