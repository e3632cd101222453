// master.cf: any bytes give services or an error.
#include "config/master_cf.h"

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace bulkhead;
    const auto master = MasterCf::parse({reinterpret_cast<const char*>(data), size}, "master.cf", {});
    if (!master)
        return 0;
    for (const ServiceEntry& service : master->services) {
        if (service.type == ServiceType::inet && !InetEndpoint::parse(service.name))
            __builtin_trap(); // the parser let through what it should have refused
    }
    return 0;
}
