#include "mail/address.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace bulkhead
{
namespace
{

using namespace std::string_literals;

struct GoodPath {
    std::string text;
    std::string address;
};

TEST(ParsePath, AcceptsWhatRfc5321Allows)
{
    const std::vector<GoodPath> rows = {
        {"<a@example.test>", "a@example.test"},
        {"<>", ""},
        {"< >", ""},
        {"<root>", "root"},
        {"<postmaster>", "postmaster"},
        {"<a@localhost>", "a@localhost"},
        {"<a@example.test.>", "a@example.test"},
        {"<@one.test:a@b.test>", "a@b.test"},
        {"<@one.test,@two.test:a@b.test>", "a@b.test"},
        {"<\"a b\"@local.test>", "a b@local.test"},
        {"<\"a\\\"b\\\\c\"@local.test>", "a\"b\\c@local.test"},
        {"<\"a@b\"@local.test>", "a@b@local.test"},
        {"<\"a>b\"@local.test>", "a>b@local.test"},
        {"<a.\"b c\".d@local.test>", "a.b c.d@local.test"},
        {"<a..b@local.test>", "a..b@local.test"},
        {"<a.@local.test>", "a.@local.test"},
        {"<a%b!c+d@local.test>", "a%b!c+d@local.test"},
        {"<a@[192.0.2.1]>", "a@[192.0.2.1]"},
        {"<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]"},
        {"<a@under_score.test>", "a@under_score.test"},
        {"a@example.test", "a@example.test"},
        {"  <a@example.test>  ", "a@example.test"},
        {" a@example.test ", "a@example.test"},
        {"<" + std::string(255, 'x') + "@b>", std::string(255, 'x') + "@b"},
    };
    for (const auto& row : rows) {
        const auto path = parse_path(row.text, {});
        ASSERT_TRUE(path) << row.text << ": " << path.error().context;
        EXPECT_EQ(path->address, row.address);
    }
}

TEST(ParsePath, RefusesTheRest)
{
    const std::vector<std::string> rows = {
        "",
        " ",
        "<",
        "<a@b",
        "<a@b>c",
        "<a@>",
        "<@b>",
        "<@b.test,a@c.test>",
        "<@b.test>",
        "<a@b@c>",
        "<a b@c>",
        "<a@b c>",
        "<\"a@c>",
        "<\"a\"b@c>",
        "<b\"a\"@c>",
        "<\"a@b\">",
        "<\"\">",
        "<a@-b.test>",
        "<a@b-.test>",
        "<a@b..test>",
        "<a@.test>",
        "<a@b!c>",
        "<a@[192.0.2.256]>",
        "<a@[192.0.2.1>",
        "<a@[IPv6:192.0.2.1]>",
        "<a@[]>",
        "<a@[x:y]>",
        "<a(comment)@b>",
        "<a,b@c>",
        "<a;b@c>",
        "<a\\b@c>",
        "<<a@b>>",
        "<a\0b@c>"s,
        "<a@b\0c>"s,
        "<\"a\0b\"@c>"s,
        "<\"a\rb\"@c>",
        "<a\x7f@c>",
        "<a@[192.0.2.1\0]>"s,
        "<\xc3\xa9@b>",
        "<a@\xc3\xa9.test>",
        "<" + std::string(256, 'x') + "@b>",
        "<a@" + std::string(64, 'x') + ">",
        "<a@" + std::string(63, 'x') + "." + std::string(63, 'x') + "." + std::string(63, 'x') + "." +
            std::string(63, 'x') + "." + "y>",
    };
    for (const auto& text : rows) {
        const auto path = parse_path(text, {});
        EXPECT_FALSE(path) << text << " gave " << path->address;
        if (!path) {
            EXPECT_LT(path.error().context.size(), 60u);
        }
    }
}

TEST(ParsePath, StrictWantsBracketsAndNoBlanks)
{
    const PathOptions strict{true, false};
    EXPECT_TRUE(parse_path("<a@b>", strict));
    EXPECT_FALSE(parse_path("a@b", strict));
    EXPECT_FALSE(parse_path(" <a@b>", strict));
    EXPECT_FALSE(parse_path("< a@b >", strict));
}

TEST(ParsePath, SmtpUtf8WantsValidUtf8)
{
    const PathOptions utf8{false, true};
    EXPECT_EQ(parse_path("<\xc3\xa9@\xc3\xa9.test>", utf8)->address, "\xc3\xa9@\xc3\xa9.test");
    EXPECT_FALSE(parse_path("<\xc3@b>", utf8));
    EXPECT_FALSE(parse_path("<a@\xff.test>", utf8));
}

TEST(ParseLeadingPath, LeavesTheParameters)
{
    EXPECT_EQ(parse_leading_path("<a@b>  SIZE=1 BODY=7BIT", {})->rest, "SIZE=1 BODY=7BIT");
    EXPECT_EQ(parse_leading_path("a@b SIZE=1", {})->rest, "SIZE=1");
    EXPECT_EQ(parse_leading_path("<\"> x\"@b> SIZE=1", {})->rest, "SIZE=1");
}

TEST(SplitAddress, UsesTheLastAt)
{
    const auto parts = split_address("a@b@c");
    EXPECT_EQ(parts.local, "a@b");
    EXPECT_EQ(parts.domain, "c");
    EXPECT_FALSE(split_address("root").has_domain);
}

TEST(SplitExtension, CutsAtTheFirstDelimiter)
{
    struct Row {
        std::string local, delimiters, user, extension;
    };
    const std::vector<Row> rows = {
        {"joe+lists", "+", "joe", "lists"},
        {"joe+a+b", "+", "joe", "a+b"},
        {"joe-a+b", "+-", "joe", "a+b"},
        {"joe", "+", "joe", ""},
        {"+joe", "+", "+joe", ""},
        {"joe+", "+", "joe", ""},
        {"joe+lists", "", "joe+lists", ""},
        {"owner-list", "-", "owner-list", ""},
        {"list-request", "-", "list-request", ""},
        {"list-request", "+", "list-request", ""},
        {"Mailer-Daemon", "-", "Mailer-Daemon", ""},
        {"double-bounce", "-", "double-bounce", ""},
        {"", "+", "", ""},
    };
    for (const auto& row : rows) {
        const auto parts = split_extension(row.local, row.delimiters);
        EXPECT_EQ(parts.user, row.user) << row.local;
        EXPECT_EQ(parts.extension, row.extension) << row.local;
    }
}

TEST(ExternalForm, QuotesOnlyWhatNeedsIt)
{
    const std::vector<std::pair<std::string, std::string>> rows = {
        {"a@b", "a@b"},
        {"", ""},
        {"root", "root"},
        {"a b@local.test", "\"a b\"@local.test"},
        {"a@b@local.test", "\"a@b\"@local.test"},
        {"a..b@c", "\"a..b\"@c"},
        {"a.@c", "\"a.\"@c"},
        {"a\"b\\@c", "\"a\\\"b\\\\\"@c"},
        {"@c", "\"\"@c"},
        {"\xc3\xa9@c", "\xc3\xa9@c"},
    };
    for (const auto& [internal, external] : rows) {
        EXPECT_EQ(external_form(internal), external);
        const auto back = unquote(external);
        ASSERT_TRUE(back) << external;
        EXPECT_EQ(*back, internal);
    }
}

TEST(Unquote, RefusesHalfQuotedText)
{
    for (const std::string text : {"\"a@b", "\"a\"b@c", "a\\", "\"a\\"})
        EXPECT_FALSE(unquote(text)) << text;
}

TEST(LiteralAddress, GivesTheNumber)
{
    EXPECT_EQ(literal_address("[192.0.2.1]"), "192.0.2.1");
    EXPECT_EQ(literal_address("[IPv6:::1]"), "::1");
    EXPECT_EQ(literal_address("[::1]"), "::1");
    EXPECT_EQ(literal_address("192.0.2.1"), std::nullopt);
    EXPECT_EQ(literal_address("[mx.example.test]"), std::nullopt);
}

} // namespace
} // namespace bulkhead
