// Values that name files (postmap -F, tls_server_sni_maps): a table then answers with the contents
// of the files.  Databases keep the contents in base64, so that their values stay lines.
#pragma once

#include "base/result.h"

#include <optional>
#include <string>
#include <string_view>

namespace bulkhead
{

// The contents of the files, whose names stand between commas and blanks, with an empty line between.
Result<std::string> read_file_value(std::string_view names);

std::string to_base64(std::string_view bytes);
std::optional<std::string> from_base64(std::string_view text);

} // namespace bulkhead
