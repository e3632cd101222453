// A client's first message of a login: a name that comes out is a table's key and part of a log line.
#include "login_name.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    for (const char* mechanism : {"PLAIN", "LOGIN", "SCRAM-SHA-1", "SCRAM-SHA-256", "XOAUTH2", "CRAM-MD5"}) {
        const auto name = bulkhead::login_name(mechanism, text);
        const auto is_control = [](char c) { return static_cast<unsigned char>(c) < ' '; };
        if (name && (name->empty() || name->size() > 255 || std::ranges::any_of(*name, is_control)))
            std::abort();
    }
    return 0;
}
