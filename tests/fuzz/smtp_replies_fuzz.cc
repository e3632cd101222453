// What a hostile server answers, line by line.
#include "smtp/ehlo.h"
#include "smtp/reply.h"

#include <cstdint>
#include <cstdlib>
#include <string>

using namespace bulkhead;

static void require(bool promise)
{
    if (!promise)
        std::abort();
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    std::string_view text(reinterpret_cast<const char*>(data), size);
    const ReplyLimits limits{64, 10, 256};
    ReplyParser parser(limits);
    while (!text.empty()) {
        const auto end = std::min(text.find('\n'), text.size());
        const auto complete = parser.add_line(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
        if (!complete || !*complete)
            continue;
        const PeerReply reply = parser.take();
        require(reply.code >= 200 && reply.code <= 599 && reply.lines.size() <= limits.lines);
        require(reply.text.size() <= limits.total + limits.lines);
        for (const char c : reply.text)
            require(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
        const Capabilities known = parse_capabilities(reply, {"DSN"});
        require(!known.dsn && known.auth.size() <= 64);
    }
    return 0;
}
