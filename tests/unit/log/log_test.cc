#include "log/log.h"

#include <gtest/gtest.h>

namespace bulkhead
{
namespace
{

TEST(LogLine, PeerBytesCannotMakeASecondLine)
{
    LogLine line("4F2C1");
    line.address("from", "a\nb")("size", 12);
    EXPECT_EQ(line.text(), "4F2C1: from=<a?b>, size=12");
}

TEST(LogLine, TheNoteComesLastInParentheses)
{
    LogLine line("4F2C1");
    line("status", "sent").note("250 2.0.0 Ok");
    EXPECT_EQ(line.text(), "4F2C1: status=sent (250 2.0.0 Ok)");
}

TEST(FormatDelay, HasTwoSignificantDigits)
{
    struct Row {
        double seconds;
        const char* text;
    };
    for (const Row& row : {Row{0, "0"}, Row{0.004, "0"}, Row{0.03, "0.03"}, Row{0.5, "0.5"}, Row{1.24, "1.2"},
                           Row{1.0, "1"}, Row{11.4, "11"}, Row{353.2, "353"}, Row{-1, "0"}})
        EXPECT_EQ(format_delay(row.seconds), row.text);
}

} // namespace
} // namespace bulkhead
