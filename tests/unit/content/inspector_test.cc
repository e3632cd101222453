#include "content/inspector.h"
#include "mail/mime.h"

#include <gtest/gtest.h>

namespace bulkhead
{

struct AnswerRow {
    const char* name;
    const char* value;
    CheckAction action;
    const char* text;
};
class CheckAnswers : public testing::TestWithParam<AnswerRow>
{
};
TEST_P(CheckAnswers, AreParsed)
{
    const CheckAnswer answer = parse_check_answer(GetParam().value);
    EXPECT_EQ(answer.action, GetParam().action);
    EXPECT_EQ(answer.text, GetParam().text);
}
INSTANTIATE_TEST_SUITE_P(
    Values, CheckAnswers,
    testing::Values(AnswerRow{"Reject", "REJECT 4.2.1  later", CheckAction::reject, "4.2.1  later"},
                    AnswerRow{"AnyCase", "warn", CheckAction::warn, ""},
                    AnswerRow{"Filter", "FILTER smtp:[h]:25", CheckAction::filter, "smtp:[h]:25"},
                    AnswerRow{"FilterOfNothing", "FILTER smtp", CheckAction::unknown, "FILTER smtp"},
                    AnswerRow{"RedirectNowhere", "REDIRECT joe", CheckAction::unknown, "REDIRECT joe"},
                    AnswerRow{"ReplaceByNothing", "REPLACE", CheckAction::unknown, "REPLACE"},
                    AnswerRow{"Unknown", "PLAY", CheckAction::unknown, "PLAY"}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(CheckAnswers, ClientsCannotRefuse)
{
    EXPECT_EQ(parse_check_answer("REJECT", delivery_check_actions).action, CheckAction::unknown);
    EXPECT_EQ(parse_check_answer("IGNORE", delivery_check_actions).action, CheckAction::ignore);
}

TEST(ContentType, Parsed)
{
    const ContentType type = parse_content_type(" Multipart/Mixed (c (d)); charset=x; Boundary=\"a\\\"b\"");
    EXPECT_TRUE(type.is("multipart", "mixed"));
    EXPECT_EQ(type.boundary, "a\"b");
    EXPECT_EQ(parse_content_type("text").type, "");
    EXPECT_EQ(parse_encoding(" (x) Base64 "), "base64");
}

TEST(MimeScanner, InnerPartsEndWithTheOuterBoundary)
{
    MimeScanner scanner("multipart/mixed; boundary=out", {}, {});
    for (const char* line : {"--out", "Content-Type: multipart/mixed; boundary=in", "", "--in", ""})
        (void)scanner.line(line, true);
    EXPECT_EQ(scanner.line("X: body", true).kind, MimeScanner::Kind::body);
    (void)scanner.line("--out", true);
    EXPECT_EQ(scanner.line("X: header", true).kind, MimeScanner::Kind::header);
    (void)scanner.line("", true);
    (void)scanner.line("--in", true); // closed with the outer part: no boundary any more
    EXPECT_EQ(scanner.line("X: body", true).kind, MimeScanner::Kind::body);
}

TEST(MimeScanner, FaultsAreSeen)
{
    MimeScanner encoded("message/rfc822", "base64", {});
    EXPECT_EQ(encoded.faults(), mime_fault::encoding_domain);
    MimeScanner plain({}, {}, {});
    (void)plain.line("gr\xfcn", true);
    EXPECT_EQ(plain.faults(), mime_fault::body_8bit);
    MimeScanner declared({}, "8bit", {});
    (void)declared.line("gr\xfcn", true);
    EXPECT_EQ(declared.faults(), 0u);
}

} // namespace bulkhead
