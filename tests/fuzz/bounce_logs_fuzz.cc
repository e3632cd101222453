// Any bytes as a bounce, defer or trace log: what was understood and written
// again is understood in the same way.
#include "spool/recipient_log.h"

#include <cstdint>
#include <cstdlib>

using namespace bulkhead;

static std::string written(const RecipientLog& log, bool compatible)
{
    std::string text;
    for (const RecipientLogEntry& entry : log.entries)
        append_recipient_log_text(text, entry, compatible);
    return text;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    for (const Queue queue : {Queue::bounce, Queue::defer}) {
        const std::string once = written(parse_recipient_log(bytes, queue), true);
        const RecipientLog again = parse_recipient_log(once, queue);
        if (written(again, true) != once || again.ignored_lines != 0)
            std::abort();
        const std::string plain = written(again, false);
        if (written(parse_recipient_log(plain, queue), false) != plain)
            std::abort();
    }
    return 0;
}
