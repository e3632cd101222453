// What a hostile sibling sends to proxymap, and what a hostile proxymap answers.
#include "table/proxy_protocol.h"

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
    const auto end = end_of_proxy_message(bytes);
    if (!end || *end == 0)
        return 0;
    require(*end <= size);
    const std::string_view message = bytes.substr(0, *end);
    if (const auto request = parse_proxy_request(message)) {
        std::string again;
        append_message(again, *request);
        const auto back = parse_proxy_request(again);
        require(back && back->op == request->op && back->table == request->table);
        require(back->key == request->key && back->value == request->value);
    }
    if (const auto reply = parse_proxy_reply(message)) {
        std::string again;
        append_message(again, *reply);
        require(again == message);
    }
    return 0;
}
