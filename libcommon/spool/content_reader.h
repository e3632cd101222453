// The text of a message, record by record or in blocks of lines.
#pragma once

#include "base/result.h"
#include "spool/record_stream.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead
{

// The header and body of a message as N and L records; pointers are followed,
// padding is left out.
class ContentReader
{
public:
    // `fd` stays the caller's.  Needs data_offset of the sizes only.
    ContentReader(int fd, std::int64_t data_offset) : records_(fd, Pointers::follow, data_offset) {}
    ContentReader(std::string_view file, std::int64_t data_offset)
        : records_(file, Pointers::follow, data_offset)
    {
    }

    // N (a line, or the end of one) or L (the line goes on); nullopt at the end of
    // the content.  Fault::malformed: it ends without one.
    Result<std::optional<Record>> next();

    // Adds whole lines with `line_end` behind each until `limit` bytes are passed
    // or the content is at its end (then false).  A line that was stored in parts
    // may be left unfinished and goes on with the next call.
    Result<bool> read_text(std::string& out, std::size_t limit, std::string_view line_end = "\n");

private:
    RecordStream records_;
    bool at_end_ = false;
};

} // namespace bulkhead
