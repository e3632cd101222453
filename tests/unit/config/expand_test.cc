#include "config/expand.h"

#include <gtest/gtest.h>

#include <map>

namespace bulkhead
{
namespace
{

const std::map<std::string, std::string, std::less<>> values{
    {"a", "A"},
    {"empty", ""},
    {"nested", "<$a>"},
    {"loop", "x$loop2"},
    {"loop2", "$loop"},
    {"five", "5"},
    {"level", "3.6"},
    {"dollar", "$$a"},
    {"deep", "$nested$nested"},
    {"scale-mail_x", "S"},
    {"unused_loop", "$five"},
};

std::optional<std::string> source(std::string_view name)
{
    const auto it = values.find(name);
    return it == values.end() ? std::nullopt : std::optional(it->second);
}

struct Case {
    const char* name;
    std::string text;
    std::string expected;
};

class Expands : public testing::TestWithParam<Case>
{
};

TEST_P(Expands, Text)
{
    const auto result = expand(GetParam().text, source);
    ASSERT_TRUE(result) << result.error().context;
    EXPECT_EQ(*result, GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(
    Expand, Expands,
    testing::Values(Case{"Plain", "no names", "no names"}, Case{"Name", "x $a.", "x A."},
                    Case{"Braces", "${a}b", "Ab"}, Case{"Parentheses", "$(a)b", "Ab"},
                    Case{"Dollar", "$$a", "$a"}, Case{"DollarInValueIsKept", "$dollar", "$a"},
                    Case{"Unknown", "[$nothing]", "[]"}, Case{"Nested", "$deep", "<A><A>"},
                    Case{"IfSet", "${a?yes}", "yes"}, Case{"IfSetButEmpty", "${empty?yes}", ""},
                    Case{"IfUnset", "${empty:no}", "no"}, Case{"IfUnsetButSet", "${a:no}", ""},
                    Case{"BothTrue", "${a?{x}:{y}}", "x"}, Case{"BothFalse", "${empty?{x}:{y}}", "y"},
                    Case{"BothWithBlanks", "${a ? {x} : {y}}", "x"}, Case{"TextWithColon", "${a?b:c}", "b:c"},
                    Case{"NameInBranch", "${a?{$five}:{$loop}}", "5"},
                    Case{"BranchNotTakenIsNotExpanded", "${empty?{$loop}:{ok}}", "ok"},
                    Case{"NestedConditional", "${empty?{1}:{${a?{2}:{3}}}}", "2"},
                    Case{"Equal", "${{$a} == {A} ? {same} : {other}}", "same"},
                    Case{"NotEqual", "${{$a} != {A} ? {same} : {other}}", "other"},
                    Case{"Numeric", "${{$five} < {10} ? {less} : {more}}", "less"},
                    Case{"StringOrder", "${{x5} < {x10} ? {less} : {more}}", "more"},
                    Case{"Level", "${{$level} <level {3.10} ? {old} : {new}}", "old"},
                    Case{"LevelAtLeast", "${{$level} >=level {3.6} ? {new} : {old}}", "new"},
                    Case{"LevelWithoutBlank", "${{$level}<level{2}?{old}:{new}}", "new"},
                    Case{"ComparisonWithoutElse", "${{a} == {b} ? {same}}", ""},
                    Case{"ComparisonElseOnly", "${{a} == {b} : {other}}", "other"},
                    Case{"NameWithDash", "${scale-mail_x}", "S"}),
    [](const auto& row) { return std::string(row.param.name); });

class ExpandRefuses : public testing::TestWithParam<Case>
{
};

TEST_P(ExpandRefuses, Text)
{
    const auto result = expand(GetParam().text, source);
    ASSERT_FALSE(result);
    EXPECT_NE(result.error().context.find(GetParam().expected), std::string::npos) << result.error().context;
}

INSTANTIATE_TEST_SUITE_P(
    Expand, ExpandRefuses,
    testing::Values(Case{"Loop", "$loop", "$loop -> $loop2 -> $loop"},
                    Case{"Unbalanced", "${a", "unbalanced"},
                    Case{"UnbalancedBranch", "${a?{x}", "unbalanced"},
                    Case{"LoneDollar", "5 $ x", "name expected"}, Case{"EmptyBraces", "${}", "name expected"},
                    Case{"BadAfterName", "${a!x}", "expected"},
                    Case{"NoOperator", "${{a} ~ {b} ? {x}}", "operator"},
                    Case{"NoRightSide", "${{a} == b ? {x}}", "expected"},
                    Case{"BadLevel", "${{x} <level {2} ? {a}}", "bad compatibility level"},
                    Case{"TextAfterBranches", "${a?{x}:{y}z}", "unexpected"}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(Expand, RefusesTooDeep)
{
    std::string text = "x";
    for (int i = 0; i < 200; ++i)
        text = "${a?{" + text + "}}";
    EXPECT_FALSE(expand(text, source));
}

TEST(Expand, BoundsExponentialValues)
{
    const MacroSource doubling = [](std::string_view name) -> std::optional<std::string> {
        const auto next = "$x" + std::to_string(std::stoi(std::string(name.substr(1))) + 1);
        return next + next;
    };
    const auto result = expand("$x1", doubling);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().fault, Fault::limit);
}

TEST(ExpandOnce, LeavesValuesAlone)
{
    const auto result = expand_once("$nested", source);
    ASSERT_TRUE(result);
    EXPECT_EQ(*result, "<$a>");
}

TEST(ExpandName, FindsLoopToItself)
{
    const auto result = expand_name("loop", source);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().context, "parameter loop: $loop -> $loop2 -> $loop");
}

TEST(ReferencedNames, InEveryBranch)
{
    const std::vector<std::string> expected{"a", "b", "c", "d"};
    EXPECT_EQ(referenced_names("$a ${b?{$c}:{x}} $$no ${{$d} == {1} ? {}}"), expected);
}

} // namespace
} // namespace bulkhead
