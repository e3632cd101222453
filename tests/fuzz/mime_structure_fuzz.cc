// Any lines as the body of a message: no crash, and without tables the inspector gives back
// the lines that it got, whatever the structure says of them.
#include "content/inspector.h"
#include "spool/record.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>

using namespace bulkhead;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    static ContentChecks checks;
    InspectorOptions options;
    options.mime.nesting = 5;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    ContentInspector inspector(checks, options);
    const std::size_t first = std::min(text.find('\n'), text.size());
    inspector.begin_body(text.substr(0, first), {});
    std::string in;
    std::string out;
    for (std::size_t begin = std::min(first + 1, text.size()); begin < text.size();) {
        const std::size_t end = std::min(text.find('\n', begin), text.size());
        append_record(in, RecordType::text, text.substr(begin, end - begin));
        inspector.line(text.substr(begin, end - begin), true, out);
        begin = end + 1;
    }
    inspector.finish(out);
    if (size < 2000 && in != out)
        std::abort();
    return 0;
}
