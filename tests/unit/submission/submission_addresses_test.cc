#include "submission_addresses.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bulkhead
{

TEST(SubmissionAddresses, FindsThoseOfAList)
{
    const auto found = recipient_addresses("Joe <joe@a.example>, ann");
    ASSERT_TRUE(found);
    EXPECT_THAT(*found, testing::ElementsAre("joe@a.example", "ann"));
}

TEST(SubmissionAddresses, RefusesNobodyAndLineBreaks)
{
    for (const std::string_view bad : {"", "<>", "a\nRCPT TO:b@x", "a\r@x"})
        EXPECT_FALSE(recipient_addresses(bad)) << bad;
}

TEST(SubmissionAddresses, TakesTheFirstOfSeveralSenders)
{
    EXPECT_EQ(*sender_address("a@x.example, b@x.example"), "a@x.example");
    EXPECT_EQ(*sender_address("Joe <j@x.example>"), "j@x.example");
    EXPECT_EQ(*sender_address("<>"), "");
    EXPECT_EQ(*sender_address(" "), "");
    EXPECT_EQ(*sender_address("g:;"), "");
    EXPECT_FALSE(sender_address("a\nb@x.example"));
}

} // namespace bulkhead
