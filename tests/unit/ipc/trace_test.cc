#include "ipc/trace.h"

#include <gtest/gtest.h>

namespace bulkhead::ipc
{
namespace
{

TEST(Trace, NamesKindAndAttributes)
{
    Message message(Kind::resolve);
    message.add("sender", "").add("address", "you@projets.example");
    EXPECT_EQ(describe(message), "resolve sender=\"\" address=you@projets.example");
}

TEST(Trace, QuotesBlanksAndHidesWhatIsNotText)
{
    EXPECT_EQ(describe(failure("disk\nis full")), "failed reason=\"disk?is full\"");
}

TEST(Trace, CutsLongValuesAndLongLines)
{
    Message message(Kind::deliver);
    for (int i = 0; i < 100; ++i)
        message.add("recipient", std::string(500, 'x'));
    const std::string line = describe(message);
    EXPECT_LT(line.size(), 1300u);
    EXPECT_TRUE(line.ends_with("... ..."));
}

TEST(Trace, ShowsTheSizeOfRecordsOnly)
{
    EXPECT_EQ(describe(Message(Kind::cleanup_records, "Nsecret")), "records (7 bytes)");
}

} // namespace
} // namespace bulkhead::ipc
