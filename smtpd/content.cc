#include "content.h"

#include "base/text.h"
#include "spool/record.h"

#include <algorithm>

namespace bulkhead
{

void ContentWriter::line(std::string_view text, bool complete)
{
    if (records_ == nullptr)
        return;
    if (at_top_ && at_line_start_)
        at_top_ = top_line(text);
    at_line_start_ = complete;
    append_record(*records_, complete ? RecordType::text : RecordType::text_part, text);
}

// What a message begins with must not become part of our Received: header; and the
// separator line of a mailbox file is no header: it is kept as the value of one.
// True: the next line is still at the top.
bool ContentWriter::top_line(std::string_view text)
{
    if (!text.empty() && is_blank(text.front())) {
        append_record(*records_, RecordType::text, {});
        return false;
    }
    std::string_view word = text;
    word.remove_prefix(std::min(word.find_first_not_of('>'), word.size()));
    if (!starts_with_ignoring_case(word, "From "))
        return false;
    append_record(*records_, RecordType::text_part, "X-Mailbox-Line: ");
    return true;
}

} // namespace bulkhead
