// Any bytes as a message for sendmail, cut anywhere: the same records however it is cut, and
// nothing but records that a maildrop file may have.
#include "spool/record.h"
#include "submission_writer.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>

using namespace bulkhead;

static std::optional<std::string> written(std::string_view bytes, unsigned char choices, std::size_t piece)
{
    SubmissionEnvelope envelope;
    envelope.sender = "s@client.test";
    envelope.header_recipients = (choices & 1) != 0;
    if (!envelope.header_recipients)
        envelope.recipients = {"r@dest.test"};
    SubmissionRules rules;
    rules.dot_ends = (choices & 2) != 0;
    rules.endings = static_cast<LineEndings>((choices >> 2) % 3);
    rules.size_limit = (choices & 16) != 0 ? 4000 : 0;
    SubmissionWriter writer(std::move(envelope), rules);
    for (; !bytes.empty() && !writer.is_ended(); bytes.remove_prefix(std::min(piece, bytes.size())))
        if (!writer.feed(bytes.substr(0, piece)))
            return std::nullopt;
    if (!writer.finish())
        return std::nullopt;
    return std::move(writer.output());
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    if (size == 0)
        return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    const auto whole = written(bytes, data[0], 1 << 20);
    if (written(bytes, data[0], 7) != whole)
        std::abort();
    if (!whole)
        return 0;
    RecordReader records(*whole);
    for (;;) {
        const auto record = records.next();
        if (!record)
            std::abort();
        if (!*record)
            return 0;
    }
}
