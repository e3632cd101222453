// What a hostile socketmap server answers.
#include "table/netstring.h"
#include "table/socketmap_table.h"

#include <cstdint>
#include <cstdlib>
#include <string>

using namespace bulkhead;

static void require(bool promise)
{
    if (!promise)
        std::abort();
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    constexpr std::size_t limit = 4000;
    const auto frame = parse_netstring(bytes, limit);
    if (!frame || !*frame)
        return 0;
    require((*frame)->text.size() <= limit && (*frame)->encoded <= size);
    std::string again;
    append_netstring(again, (*frame)->text);
    require(again == bytes.substr(0, (*frame)->encoded));
    const Lookup answer = parse_socketmap_reply((*frame)->text);
    if (answer.is_found())
        require((*frame)->text == "OK " + answer.value());
    if (answer.is_broken())
        require(answer.reason().find('\n') == std::string::npos);
    return 0;
}
