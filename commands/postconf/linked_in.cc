#include "linked_in.h"

#include "base/text.h"
#include "tls/library_facts.h"

#include <fmt/format.h>

namespace bulkhead::postconf
{

std::vector<std::string_view> server_sasl_types()
{
    return {"dovecot", "gsasl"};
}

std::vector<std::string_view> client_sasl_types()
{
    return {"gsasl"};
}

std::vector<std::string_view> lock_types()
{
    return {"flock", "fcntl", "dotlock"};
}

Result<std::vector<std::string_view>> tls_fact(std::string_view mode)
{
    if (mode == "compile-version")
        return std::vector{tls::compiled_version()};
    if (mode == "run-version")
        return std::vector{tls::running_version()};
    if (mode == "public-key-algorithms")
        return tls::public_key_algorithms();
    return Error{Fault::not_found, fmt::format("unknown 'postconf -T' mode: {}", printable(mode))};
}

} // namespace bulkhead::postconf
