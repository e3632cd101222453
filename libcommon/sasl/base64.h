// Base64 as SASL exchanges have it (RFC 4648, section 4): padded, nothing between the
// letters, no bits left over.  Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace bulkhead::sasl
{

std::string encode_base64(std::string_view bytes);

// nullopt for anything that encode_base64() would not have written.
std::optional<std::string> decode_base64(std::string_view text);

} // namespace bulkhead::sasl
