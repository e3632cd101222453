// Sources of maps and aliases: any bytes give entries and warnings, and no entry without key or value.
#include "table/message_keys.h"
#include "table/text_source.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace bulkhead;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    for (const auto& source :
         {TextSource::parse_map(text, "map", true), TextSource::parse_map(text, "map", false, false),
          TextSource::parse_aliases(text, "aliases", true)})
        for (const SourceEntry& entry : source.entries)
            if (entry.key.empty() || entry.value.empty() || entry.line < 1)
                std::abort();
    (void)TextSource::looks_like_aliases(text);
    (void)message_keys(text, {.headers = true, .body = true, .parse_mime = true});
    return 0;
}
