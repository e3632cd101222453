// tcp:host:port: a server that answers lines, "get key" with "200 value", "400 why" (ask
// again later) or "500 why" (there is none).  Bytes that are not printable, blanks and '%'
// are written as %XX.
#pragma once

#include "table/table.h"

#include <string>
#include <string_view>

namespace bulkhead
{

// Of a line, with its end.
constexpr std::size_t tcp_reply_limit = 4096;

std::string tcp_quote(std::string_view text);

// What a reply says, without its line end; one that makes no sense is broken.
Lookup parse_tcp_reply(std::string_view line);

} // namespace bulkhead
