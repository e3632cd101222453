// Aliases' right-hand sides and .forward files of any content.
#include "destination_list.h"

#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    (void)bulkhead::parse_destinations(text);
    const auto file = bulkhead::parse_destination_file(text);
    if (file && file->size() > bulkhead::max_destinations)
        __builtin_trap();
    return 0;
}
