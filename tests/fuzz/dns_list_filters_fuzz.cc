// "domain=filter" of DNS lists.
#include "dns/dns_lists.h"

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace bulkhead;
    const auto list = DnsList::parse({reinterpret_cast<const char*>(data), size});
    if (list)
        (void)list->counts(*SocketAddress::parse("127.0.0.2"));
    return 0;
}
