// Anything from a mail filter: no crash, and a reply that is let through is one reply of
// the class that its code says.
#include "milter/protocol.h"

#include <cstdint>
#include <cstdlib>

using namespace bulkhead;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    if (size == 0)
        return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    (void)milter::parse_agreement(bytes.substr(1), *milter::offer_of(6));
    const auto edit = milter::parse_edit(bytes.front(), bytes.substr(1), 0x1ff);
    if (edit && *edit && (*edit)->kind == milter::Edit::Kind::add_header) {
        const std::string& value = (*edit)->value;
        for (std::size_t at = value.find('\n'); at != value.npos; at = value.find('\n', at + 1))
            if (at + 1 == value.size() || (value[at + 1] != ' ' && value[at + 1] != '\t'))
                std::abort(); // the value would end the header
    }
    const auto reply = milter::parse_reply_code(bytes.substr(1));
    if (reply && (reply->code < 400 || reply->code > 599 || reply->lines.empty()))
        std::abort();
    if (reply)
        for (const std::string& line : reply->lines)
            if (line.find_first_of("\r\n") != line.npos)
                std::abort();
    return 0;
}
