// Any bytes as a file of maildrop: pickup copies it, refuses it, and comes to an end.
#include "submission.h"

#include <cstdint>

using namespace bulkhead;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    SubmissionFacts facts;
    facts.queued_before = size % 2 == 1;
    Submission submission(std::string_view(reinterpret_cast<const char*>(data), size), facts);
    std::string out;
    if (!submission.read_envelope(out))
        return 0;
    submission.begin_content(out, "ABC");
    for (;;) {
        out.clear();
        const auto more = submission.read_content(out, 1000);
        if (!more || !*more)
            return 0;
    }
}
