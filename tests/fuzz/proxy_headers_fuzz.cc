// What may stand in front of a connection: a header is found at the same place however it
// arrives, and is never longer than what has arrived.
#include "smtp/proxy_header.h"

#include <cstdint>
#include <cstdlib>

using namespace bulkhead;

static void require(bool promise)
{
    if (!promise)
        std::abort();
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view all(reinterpret_cast<const char*>(data), size);
    const auto whole = parse_proxy_header(all);
    if (!whole || !*whole)
        return 0;
    const ProxyHeader& header = **whole;
    require(header.size > 0 && header.size <= size && header.size <= proxy_header_limit);
    require(header.told != header.client.address.empty());
    for (std::size_t n = 1; n < header.size; ++n) {
        const auto part = parse_proxy_header(all.substr(0, n));
        require(part && !*part);
    }
    return 0;
}
