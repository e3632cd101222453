#include "smtp/ehlo.h"
#include "smtp/reply.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace bulkhead
{
namespace
{

using Strings = std::vector<std::string>;

TEST(Reply, IsWrittenLineByLine)
{
    EXPECT_EQ(Reply(250, "2.1.0", "Ok").wire(), "250 2.1.0 Ok\r\n");
    EXPECT_EQ(Reply(250, "2.1.0", Strings{"a", "b"}).wire(), "250-2.1.0 a\r\n250 2.1.0 b\r\n");
    EXPECT_EQ(Reply(354, "End data with <CR><LF>.<CR><LF>").wire(),
              "354 End data with <CR><LF>.<CR><LF>\r\n");
    EXPECT_EQ(Reply(250, Strings{"mx", "DSN"}).wire(), "250-mx\r\n250 DSN\r\n");
    EXPECT_EQ(Reply(250, Strings{}).wire(), "250 \r\n");
}

TEST(Reply, TextMakesNoSecondReply)
{
    EXPECT_EQ(Reply(550, "5.7.1", "no\r\n250 Ok").wire(), "550 5.7.1 no??250 Ok\r\n");
}

TEST(Reply, SummaryIsOneLine)
{
    EXPECT_EQ(Reply(554, "5.7.1", Strings{"a", "b"}).summary(), "554 5.7.1 a b");
    EXPECT_EQ(Reply(220, "mx ESMTP").summary(), "220 mx ESMTP");
}

// Feeds all lines; the last must complete the reply.
PeerReply read(const Strings& lines)
{
    ReplyParser parser;
    for (std::size_t i = 0; i < lines.size(); ++i) {
        const auto complete = parser.add_line(lines[i]);
        EXPECT_TRUE(complete && *complete == (i + 1 == lines.size())) << lines[i];
    }
    return parser.take();
}

TEST(ReplyParser, ReadsOneLine)
{
    const auto reply = read({"250 2.0.0 Ok: queued as XYZ123"});
    EXPECT_EQ(reply.code, 250);
    EXPECT_EQ(reply.dsn, "2.0.0");
    EXPECT_EQ(reply.text, "250 2.0.0 Ok: queued as XYZ123");
    EXPECT_EQ(reply.lines, Strings{"2.0.0 Ok: queued as XYZ123"});
    EXPECT_TRUE(reply.positive());
}

TEST(ReplyParser, JoinsSeveralLines)
{
    const auto reply = read({"550-5.1.1 no such", "550 5.1.1 user"});
    EXPECT_EQ(reply.text, "550-5.1.1 no such 550 5.1.1 user");
    EXPECT_EQ(reply.dsn, "5.1.1");
    EXPECT_TRUE(reply.permanent());
}

TEST(ReplyParser, ToleratesWhatServersSend)
{
    EXPECT_EQ(read({"250"}).code, 250);
    EXPECT_EQ(read({"250-", "250"}).lines, (Strings{"", ""}));
    EXPECT_EQ(read({"250-a", "251 b"}).code, 251);
    EXPECT_EQ(read({"250 Ok\r"}).text, "250 Ok");
    EXPECT_EQ(read({"450\tlater"}).lines, Strings{"later"});
    EXPECT_EQ(read({"250 5.1.1 strange"}).dsn, "");
    EXPECT_EQ(read({"421 \x01\xff"}).text, "421 ??");
    EXPECT_EQ(read({"250 " + std::string(5000, 'x')}).text.size(), 2048u);
}

TEST(ReplyParser, RefusesWhatIsNoReply)
{
    for (const std::string line : {"", "25", "abc", "150 x", "650 x", "2500 x", "250x", "-250 x", " 250 x"}) {
        ReplyParser parser;
        const auto complete = parser.add_line(line);
        ASSERT_FALSE(complete) << line;
        EXPECT_EQ(complete.error().fault, Fault::malformed);
    }
}

TEST(ReplyParser, EndsAReplyThatNeverEnds)
{
    ReplyParser parser;
    for (int i = 0; i < 200; ++i)
        ASSERT_TRUE(parser.add_line("250-x"));
    EXPECT_EQ(parser.add_line("250-x").error().fault, Fault::limit);
    EXPECT_FALSE(parser.in_progress());
}

TEST(ReplyParser, StartsAgainAfterTake)
{
    ReplyParser parser;
    EXPECT_TRUE(*parser.add_line("250 a"));
    EXPECT_EQ(parser.take().code, 250);
    EXPECT_TRUE(*parser.add_line("450 4.2.0 b"));
    EXPECT_EQ(parser.take().dsn, "4.2.0");
}

TEST(Capabilities, AreReadFromTheReply)
{
    const auto reply =
        read({"250-mx.example.test Hello", "250-PIPELINING", "250-size 10240000", "250-AUTH PLAIN login",
              "250-AUTH=LOGIN CRAM-MD5", "250-8BITMIME", "250-XFORWARD NAME ADDR", "250-X-UNKNOWN",
              "250-STARTTLS", "250-CHUNKING", "250-ENHANCEDSTATUSCODES", "250-SMTPUTF8", "250 DSN"});
    const auto known = parse_capabilities(reply);
    EXPECT_EQ(known.host, "mx.example.test");
    EXPECT_TRUE(known.pipelining && known.eightbitmime && known.starttls && known.chunking && known.dsn);
    EXPECT_TRUE(known.enhanced_status_codes && known.smtputf8 && known.size);
    EXPECT_EQ(known.size_limit, 10'240'000u);
    EXPECT_EQ(known.auth, (Strings{"PLAIN", "LOGIN", "CRAM-MD5"}));
    EXPECT_TRUE(known.offers_auth("cram-md5"));
    EXPECT_TRUE(known.offers_xforward("addr"));
    EXPECT_FALSE(known.offers_xforward("IDENT"));
}

TEST(Capabilities, TheFirstLineOffersNothing)
{
    EXPECT_FALSE(parse_capabilities(read({"250 PIPELINING"})).pipelining);
    EXPECT_EQ(parse_capabilities(read({"250"})).host, "");
}

TEST(Capabilities, BadNumbersAndDiscardedWordsAreIgnored)
{
    const auto reply = read({"250-mx", "250-SIZE 99999999999999999999999", "250-DSN", "250 PIPELINING"});
    const auto known = parse_capabilities(reply, {"dsn"});
    EXPECT_TRUE(known.size);
    EXPECT_EQ(known.size_limit, 0u);
    EXPECT_FALSE(known.dsn);
    EXPECT_TRUE(known.pipelining);
}

} // namespace
} // namespace bulkhead
