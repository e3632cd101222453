#include "table/query_template.h"

#include <gtest/gtest.h>

namespace bulkhead
{
namespace
{

// The filled template, "-" when it asks for a part that the key has not, "error".
std::string fill(std::string_view text, std::string_view key)
{
    const auto parsed = QueryTemplate::parse(text);
    if (!parsed)
        return "error";
    const AddressParts parts(key);
    const auto filled = parsed->fill(parts, [](std::string_view part, std::string& out) {
        out += '<';
        out += part;
        out += '>';
        return true;
    });
    EXPECT_EQ(filled.has_value(), parsed->fits(parts)) << text << " " << key;
    return filled.value_or("-");
}

std::string format(std::string_view text, std::string_view value, std::string_view key)
{
    const auto parsed = QueryTemplate::parse(text);
    if (!parsed)
        return "error";
    const AddressParts parts(key);
    return parsed->fits_results_of(parts) ? parsed->format(value, parts).value_or("-") : "no question";
}

TEST(QueryTemplate, FillsInQuotedPartsOfTheKey)
{
    EXPECT_EQ(fill("a='%s'", "u@d.e"), "a='<u@d.e>'");
    EXPECT_EQ(fill("%u|%d|%S|%U|%D", "u@d.e"), "<u>|<d.e>|<u@d.e>|<u>|<d.e>");
    EXPECT_EQ(fill("%1.%2.%3", "u@a.b.c"), "<c>.<b>.<a>");
    EXPECT_EQ(fill("%u at %d", "u@v@d"), "<u@v> at <d>");
    EXPECT_EQ(fill("%u", "bare"), "<bare>");
    EXPECT_EQ(fill("100%% LIKE '%%x%%'", "k"), "100% LIKE '%x%'");
}

TEST(QueryTemplate, AsksNothingWithoutTheParts)
{
    for (const auto& [text, key] :
         {std::pair{"%d", "bare"}, {"%u", "@d"}, {"%d", "u@"}, {"%1", "bare"}, {"%3", "u@a.b"}, {"%s", ""}})
        EXPECT_EQ(fill(text, key), "-") << text << " " << key;
}

TEST(QueryTemplate, RefusesUnknownCodes)
{
    for (const char* text : {"%", "x%", "%x", "%0", "% s", "%%%"})
        EXPECT_EQ(fill(text, "u@d"), "error") << text;
}

TEST(QueryTemplate, LeavesOutWhatCannotBeQuoted)
{
    const auto parsed = QueryTemplate::parse("%s");
    ASSERT_TRUE(parsed);
    EXPECT_FALSE(parsed->fill(AddressParts("k"), [](std::string_view, std::string&) { return false; }));
}

TEST(QueryTemplate, FormatsResults)
{
    EXPECT_EQ(format("smtp:[%s]", "host", "k"), "smtp:[host]");
    EXPECT_EQ(format("%u at %d", "u@d", "k"), "u at d");
    EXPECT_EQ(format("%u", "bare", "k"), "bare");
    EXPECT_EQ(format("%d", "bare", "k@x"), "-");
    EXPECT_EQ(format("%u", "@d", "k"), "-");
    EXPECT_EQ(format("constant", "", "k"), "-");
    EXPECT_EQ(format("%U/%D/%1/%s", "v", "l@d.e"), "l/d.e/e/v");
    EXPECT_EQ(format("%D %s", "v", "bare"), "no question");
}

} // namespace
} // namespace bulkhead
