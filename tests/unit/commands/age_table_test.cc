#include "age_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bulkhead
{

TEST(AgeTable, CountsByDomainAndAge)
{
    AgeTable table({.buckets = 3});
    table.add("a.example", 0);
    table.add("a.example", 300);
    table.add("b.example", 100000);
    table.add("b.example", -5);
    EXPECT_EQ(table.text(), std::string(69, ' ') + "T  5 10 10+\n" + std::string(62, ' ') +
                                "TOTAL  4  2  1   1\n" + std::string(58, ' ') + "a.example  2  1  1   0\n" +
                                std::string(58, ' ') + "b.example  2  1  0   1\n");
}

TEST(AgeTable, CutsLongNamesInFront)
{
    AgeTable table({.buckets = 1});
    table.add(std::string(100, 'x') + ".example", 0);
    EXPECT_THAT(table.text(), testing::HasSubstr("\n+xxx"));
    EXPECT_THAT(table.text(), testing::HasSubstr("xxx.example  1  1\n"));
}

TEST(AgeTable, ShowsParentsWithEnoughChildren)
{
    AgeTable table({.parents = true, .min_subdomains = 2});
    for (const char* const name : {"a.x.example", "b.x.example", "a.y.example", "[127.0.0.1]"})
        table.add(name, 0);
    EXPECT_THAT(table.text(), testing::HasSubstr(" .x.example  2 "));
    EXPECT_THAT(table.text(), testing::Not(testing::HasSubstr(" .y.example")));
    EXPECT_THAT(table.text(), testing::Not(testing::HasSubstr(" .example")));
}

TEST(AgeTable, NamesWhatHasNoDomain)
{
    EXPECT_EQ(counted_domain(""), "MAILER-DAEMON");
    EXPECT_EQ(counted_domain("Joe"), "joe");
    EXPECT_EQ(counted_domain("\"a@b\"@C.Example"), "c.example");
}

} // namespace bulkhead
