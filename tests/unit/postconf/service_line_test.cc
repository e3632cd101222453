#include "service_line.h"

#include <gtest/gtest.h>

namespace bulkhead::postconf
{
namespace
{

struct Form {
    const char* name;
    const char* before;
    const char* line;
};

class ServiceLineText : public testing::TestWithParam<Form>
{
};

TEST_P(ServiceLineText, OneLine)
{
    const auto service = ServiceLine::parse(GetParam().before);
    ASSERT_TRUE(service) << service.error().context;
    EXPECT_EQ(service->text(false), GetParam().line);
}

INSTANTIATE_TEST_SUITE_P(
    Forms, ServiceLineText,
    testing::Values(Form{"Columns", "a unix - - n - - smtp",
                         "a          unix  -       -       n       -       -       smtp"},
                    Form{"LongName", "127.0.0.1:10025 inet n - n - - x",
                         "127.0.0.1:10025 inet n   -       n       -       -       x"},
                    Form{"BracedOption", "a unix - - n - - x -o { b = c d }",
                         "a          unix  -       -       n       -       -       x -o {b=c d}"},
                    Form{"NeedlessBraces", "a unix - - n - - x -o {b=c} -od=e {f}",
                         "a          unix  -       -       n       -       -       x -o b=c -o d=e f"},
                    Form{"BracesInsideAWord", "a unix - - n - - x y={b c} d",
                         "a          unix  -       -       n       -       -       x {y={b c}} d"},
                    Form{"BraceThatNeverCloses", "a unix - - n - - x y={b c",
                         "a          unix  -       -       n       -       -       x y={b c"}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(ServiceLine, ParameterReplacesItsEarlierValue)
{
    auto service = ServiceLine::parse("a unix - - n - - x -o b=1 argv=y");
    ASSERT_TRUE(service);
    service->set_parameter("b", "2");
    service->set_parameter("c", "3");
    EXPECT_EQ(service->command(), "x -o b=2 -o c=3 argv=y");
    service->remove_parameter("b");
    EXPECT_EQ(service->command(), "x -o c=3 argv=y");
}

TEST(ServiceLine, RefusesFieldsThatWouldBreakTheFile)
{
    auto service = ServiceLine::parse("a unix - - n - - x");
    ASSERT_TRUE(service);
    for (const auto& [field, value] : {std::pair{"chroot", ""},
                                       {"chroot", "maybe"},
                                       {"service", "a b"},
                                       {"wakeup", "-1"},
                                       {"command", " "},
                                       {"nosuch", "y"}})
        EXPECT_FALSE(service->set_field(field, value)) << field;
    EXPECT_EQ(service->identity(), "a/unix");
}

TEST(ServicePattern, WantsTheRightNumberOfParts)
{
    ServicePattern pattern;
    EXPECT_TRUE(pattern.parse("*/unix", 1, 2));
    EXPECT_TRUE(pattern.matches("a", "unix"));
    EXPECT_FALSE(pattern.matches("a", "inet"));
    for (const char* text : {"", "/", "a/", "a/b/c"})
        EXPECT_FALSE(pattern.parse(text, 1, 2)) << text;
}

} // namespace
} // namespace bulkhead::postconf
