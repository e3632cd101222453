// What a client of cleanup may send outside of the text of a message: the check of
// one record, so that a sibling that was taken over can write no other queue file
// than an honest one.  (compat/queue-format.md, sections 4 and 6)
#pragma once

#include "base/result.h"
#include "spool/record.h"

#include <string_view>

namespace bulkhead
{

enum class Segment { envelope, extracted };

// What to do with an attribute record.
enum class AttributeUse {
    message,   // of the message: kept as it is
    recipient, // belongs to the recipient that follows
    dropped,   // ours to write, or unknown
};

// Fault::malformed: a type that does not belong there, a control character, a value
// that its reader could not read.
Result<> check_record(Segment segment, const Record& record);

AttributeUse use_of_attribute(std::string_view name);

inline constexpr std::size_t max_envelope_record = 8 * 1024;

} // namespace bulkhead
