// socketmap:inet:host:port:name and socketmap:unix:path:name: a server that answers
// netstrings, "name key" with "OK value", "NOTFOUND ", "TEMP why", "TIMEOUT why" or
// "PERM why" (compat/feature-map.md, table types).
#pragma once

#include "table/table.h"

#include <string_view>

namespace bulkhead
{

// What the text of a reply says; one that makes no sense is broken.
Lookup parse_socketmap_reply(std::string_view text);

} // namespace bulkhead
