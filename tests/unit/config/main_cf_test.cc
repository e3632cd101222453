#include "config/main_cf.h"

#include <gtest/gtest.h>

namespace bulkhead
{
namespace
{

std::string value_of(std::string_view text, std::string_view name)
{
    const auto main = MainCf::parse(text, "main.cf");
    if (!main)
        return "error: " + main.error().context;
    const Setting* setting = main->find(name);
    return setting ? setting->value : "unset";
}

struct Case {
    const char* name;
    std::string text;
    std::string value; // of "x"
};

class MainCfReads : public testing::TestWithParam<Case>
{
};

TEST_P(MainCfReads, Value)
{
    EXPECT_EQ(value_of(GetParam().text, "x"), GetParam().value);
}

INSTANTIATE_TEST_SUITE_P(
    MainCf, MainCfReads,
    testing::Values(
        Case{"Plain", "x = 1\n", "1"}, Case{"NoBlanks", "x=1", "1"}, Case{"Empty", "x =\n", ""},
        Case{"LastWins", "x = 1\nx = 2\n", "2"}, Case{"Continued", "x = a,\n   b\n\tc\ny = 2\n", "a,   b\tc"},
        Case{"CommentInside", "x = a,\n# no\n   # nor this\n\n  b\n", "a,  b"},
        Case{"CommentAtTheEndIsPartOfTheValue", "x = a # b\n", "a # b"},
        Case{"CarriageReturns", "x = a\r\n b\r\n", "a b"}, Case{"ValueWithEquals", "x = a=b", "a=b"},
        Case{"StartsOnNextLine", "x =\n  a\n", "a"}, Case{"Unset", "y = 1\n", "unset"},
        Case{"NoEquals", "\ny = 1\nfoo\n",
             "error: main.cf, line 3: missing '=' after attribute name: \"foo\""},
        Case{"BlankInName", "fo o = 1\n", "error: main.cf, line 1: missing '=' after attribute name: \"fo\""},
        Case{"NoName", "# c\n= 1\n", "error: main.cf, line 2: missing attribute name"}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(MainCf, KnowsTheLineOfADefinition)
{
    const auto main = MainCf::parse("# c\n\na = 1\nb =\n  2\nc = 3\n", "/etc/x/main.cf");
    ASSERT_TRUE(main);
    EXPECT_EQ(main->find("b")->place(), "/etc/x/main.cf, line 4");
    EXPECT_EQ(main->find("c")->place(), "/etc/x/main.cf, line 6");
}

TEST(MainCf, OverlayReplaces)
{
    auto main = MainCf::parse("a = 1\n", "main.cf");
    ASSERT_TRUE(main);
    ASSERT_TRUE(main->overlay("a = 2"));
    EXPECT_EQ(main->find("a")->value, "2");
    EXPECT_EQ(main->find("a")->place(), "-o");
    EXPECT_FALSE(main->overlay("a"));
}

TEST(MainCf, MissingFileIsAnError)
{
    const auto main = MainCf::read("/nowhere/main.cf");
    ASSERT_FALSE(main);
    EXPECT_NE(main.error().context.find("/nowhere/main.cf"), std::string::npos);
}

} // namespace
} // namespace bulkhead
