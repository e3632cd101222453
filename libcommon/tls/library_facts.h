// What the TLS library is and can do: postconf -T.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::tls
{

std::string_view compiled_version(); // "OpenSSL 3.0.15 3 Sep 2024"
std::string_view running_version();

// Of dsa, ecdsa and rsa those that the library has.
std::vector<std::string_view> public_key_algorithms();

} // namespace bulkhead::tls
