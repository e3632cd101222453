// What a hostile tcp table server answers.
#include "table/tcp_table.h"

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
    const std::string_view line(reinterpret_cast<const char*>(data), size);
    const Lookup answer = parse_tcp_reply(line);
    if (answer.is_found())
        require(answer.value().size() <= size);
    if (answer.is_broken())
        require(answer.reason().find('\n') == std::string::npos);
    // What we quote is one word, and comes back.
    const std::string quoted = tcp_quote(line);
    require(quoted.find_first_of(" \n\r") == std::string::npos);
    const Lookup back = parse_tcp_reply("200 " + quoted);
    require(back.is_found() && back.value() == line);
    return 0;
}
