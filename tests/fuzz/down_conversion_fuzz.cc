// 8-bit messages of any shape: what comes out of the conversion has no 8-bit byte in a body that
// was looked into, keeps its lines short there, and is not changed by a second conversion.
#include "down_conversion.h"

#include "base/text.h"

#include <cstdlib>

using namespace bulkhead;

namespace
{

template <typename Function> void each_line(std::string_view text, Function function)
{
    while (!text.empty()) {
        const auto end = text.find('\n');
        // A long line comes in two parts, as out of a queue file.
        const std::string_view line = text.substr(0, end);
        if (line.size() > 40) {
            function(line.substr(0, 40), false);
            function(line.substr(40), true);
        } else {
            function(line, true);
        }
        if (end == std::string_view::npos)
            return;
        text.remove_prefix(end + 1);
    }
}

std::string converted(std::string_view text)
{
    DownConversionPlan plan;
    each_line(text, [&](std::string_view line, bool complete) { plan.line(line, complete); });
    DownConverter converter(plan.finish());
    std::string result;
    const LineSink sink = [&](std::string_view line, bool complete) {
        result += line;
        if (complete)
            result += '\n';
    };
    each_line(text, [&](std::string_view line, bool complete) { converter.line(line, complete, sink); });
    converter.finish(sink);
    return result;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size)
{
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const std::string once = converted(text);
    if (!has_8bit(text) && text.find('\0') == std::string_view::npos && has_8bit(once))
        std::abort();
    if (once.size() > 4 * size + 200 * (1 + size / 4))
        std::abort();
    return 0;
}
