// An address apart, and $name in forward_path and its kin.
#include "params.h"
#include "recipient.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bulkhead
{
namespace
{

LocalRecipient recipient(std::string address, LocalRecipient::Split how = {"+-", true})
{
    LocalRecipient one;
    one.address = std::move(address);
    one.split(how);
    return one;
}

TEST(LocalParams, AreTheKnownOnes)
{
    EXPECT_THAT(LocalParams().disagreements(), testing::IsEmpty());
}

TEST(LocalRecipient, SplitsAtTheFirstDelimiter)
{
    const LocalRecipient one = recipient("Joe+a-b@MX.test");
    EXPECT_EQ(one.local, "joe+a-b");
    EXPECT_EQ(one.user, "joe");
    EXPECT_EQ(one.delimiter, "+");
    EXPECT_EQ(one.extension, "a-b");
    EXPECT_EQ(one.domain, "mx.test");
}

TEST(LocalRecipient, OwnersAreWholeUnlessTold)
{
    EXPECT_EQ(recipient("owner-list@b").user, "owner-list");
    EXPECT_EQ(recipient("list-request@b").user, "list-request");
    EXPECT_EQ(recipient("owner-list@b", {"-", false}).user, "owner");
}

TEST(LocalRecipient, MacrosOfStrangersAreFiltered)
{
    const LocalRecipient one = recipient("joe+$(rm x)@b.test");
    const Account account{"joe", {1000, 1000}, "/home/joe", "/bin/sh"};
    const auto macros = macros_of(one, &account, "+", default_character_filter);
    EXPECT_EQ(*expand_once("$home/.forward${recipient_delimiter}${extension}", macros),
              "/home/joe/.forward+__rm_x_");
    EXPECT_EQ(*expand_once("$user $local $domain $shell", macros), "joe joe+__rm_x_ b.test /bin/sh");
}

TEST(Account, RootIsThereAndNobodyElseOfThatNameIsNot)
{
    const auto root = find_account("root");
    ASSERT_TRUE(root && *root);
    EXPECT_EQ((*root)->ids.uid, 0u);
    const auto none = find_account("no-such-user-of-bulkhead");
    ASSERT_TRUE(none);
    EXPECT_FALSE(*none);
    EXPECT_FALSE(*find_account(std::string("root\0x", 6)));
}

} // namespace
} // namespace bulkhead
