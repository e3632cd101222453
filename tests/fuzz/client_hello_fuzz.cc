// The first bytes of a TLS client, before anybody has looked at them: a name that comes out is a
// table's key, so it is short, printable and in lower case; more bytes never take a name back.
#include "client_hello.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>

using namespace bulkhead;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const auto name = server_name_in(bytes);
    if (!name || !*name)
        return 0;
    const auto is_odd = [](char c) { return c <= ' ' || c > '~' || c == '/' || (c >= 'A' && c <= 'Z'); };
    if ((*name)->size() > 255 || std::ranges::any_of(**name, is_odd))
        std::abort();
    const auto longer = server_name_in(std::string(bytes) + "more");
    if (!longer || !*longer || **longer != **name)
        std::abort();
    return 0;
}
