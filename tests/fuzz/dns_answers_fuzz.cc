// Answers of name servers: any bytes may come.
#include "dns/packet.h"

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view packet(reinterpret_cast<const char*>(data), size);
    (void)bulkhead::dns::parse_mx(packet);
    (void)bulkhead::dns::parse_addresses(packet, bulkhead::dns::Type::a);
    (void)bulkhead::dns::parse_addresses(packet, bulkhead::dns::Type::aaaa);
    (void)bulkhead::dns::parse_tlsa(packet);
    (void)bulkhead::dns::parse_hosts(packet, bulkhead::dns::Type::ptr);
    (void)bulkhead::dns::parse_txt(packet);
    (void)bulkhead::dns::parse_srv(packet);
    (void)bulkhead::dns::owner_of(packet, bulkhead::dns::Type::a);
    (void)bulkhead::dns::time_to_live(packet);
    return 0;
}
