// Any bytes as a bounce_template_file: what was understood and written again is understood in
// the same way.
#include "mail/notice_templates.h"

#include <cstdint>
#include <cstdlib>

using namespace bulkhead;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const auto templates = read_templates({reinterpret_cast<const char*>(data), size}, "bounce.cf");
    if (!templates)
        return 0;
    const std::string once = written_templates(*templates);
    const auto again = read_templates(once, "bounce.cf");
    if (!again || written_templates(*again) != once)
        std::abort();
    return 0;
}
