// Text outside ASCII where a header allows a phrase or a comment (RFC 2047): "=?utf-8?Q?J=C3=B6rg?=".
#pragma once

#include <string>
#include <string_view>

namespace bulkhead
{

// The whole text as encoded words, none longer than 75 characters (RFC 2047, 2), with a blank
// between two.  Characters of UTF-8 stay whole; what the charset is called is the caller's affair.
std::string encoded_words(std::string_view text, std::string_view charset);

} // namespace bulkhead
