#include "spool/content_reader.h"

#include <fmt/format.h>

namespace bulkhead
{

Result<std::optional<Record>> ContentReader::next()
{
    while (!at_end_) {
        TRY(const auto record, records_.next());
        if (!record)
            return Error{Fault::malformed, "the message content has no end"};
        switch (record->type) {
        case RecordType::text:
        case RecordType::text_part:
            return std::optional(Record{record->type, record->data});
        case RecordType::padding:
            break;
        case RecordType::extracted_start:
            at_end_ = true;
            break;
        default:
            return Error{Fault::malformed,
                         fmt::format("record type {} at offset {} does not belong in the content",
                                     static_cast<int>(record->type), record->offset)};
        }
    }
    return std::optional<Record>{};
}

Result<bool> ContentReader::read_text(std::string& out, std::size_t limit, std::string_view line_end)
{
    while (out.size() < limit) {
        TRY(const auto record, next());
        if (!record)
            return false;
        out += record->data;
        if (record->is(RecordType::text))
            out += line_end;
    }
    return true;
}

} // namespace bulkhead
