// Entries of postscreen_cache_map, and the sites of postscreen_dnsbl_sites.
#include "score.h"
#include "test_results.h"

#include "base/result.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

using namespace bulkhead;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (const auto results = parse_test_results(text)) {
        const auto again = parse_test_results(entry_text(*results));
        ensure(again && *again == *results, "an entry means the same when it is written again");
    }
    (void)parse_dns_site(text);
    return 0;
}
