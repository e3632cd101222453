// What this build contains besides its own code: SASL and TLS.
#pragma once

#include "base/result.h"

#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::postconf
{

// -a and -A, one name each.
std::vector<std::string_view> server_sasl_types();
std::vector<std::string_view> client_sasl_types();

// -l.
std::vector<std::string_view> lock_types();

// -T: lines; Fault::not_found for a word that we do not know.
Result<std::vector<std::string_view>> tls_fact(std::string_view mode);

} // namespace bulkhead::postconf
