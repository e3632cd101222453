// Keys in one case, as tables keep and ask them: A-Z by table, other letters of valid UTF-8 by the
// rules of C.UTF-8.  Never the locale of whoever started the process.
#pragma once

#include <string>
#include <string_view>

namespace bulkhead
{

// With utf8 false only A-Z change.  Bytes that are not UTF-8 stay as they are but for A-Z.
std::string fold_key(std::string_view key, bool utf8 = true);

} // namespace bulkhead
