// From the text of a parameter to a typed value: one total function per type.
// The error's context is the bare reason ("bad time value \"5x\""); callers add place and name.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

Result<bool> parse_bool(std::string_view text);
Result<std::int64_t> parse_int(std::string_view text);

// "5", "5s", "2h": seconds; a bare number counts in `unit`, one of s m h d w.
Result<std::int64_t> parse_seconds(std::string_view text, char unit);

// Elements between commas and blanks.  An element that begins with { reaches to the
// matching }; a brace inside an element protects what is between.  Braces are kept.
std::vector<std::string> parse_list(std::string_view text);

// "{ text }" -> "text" trimmed; anything else unchanged.
std::string_view without_braces(std::string_view element);

} // namespace bulkhead
