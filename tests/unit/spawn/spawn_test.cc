// A spawn service's line in master.cf.
#include "spawn.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bulkhead
{
namespace
{

Result<SpawnAttributes> parsed(std::vector<std::string> arguments)
{
    return SpawnAttributes::parse(arguments);
}

TEST(SpawnParams, AreTheKnownOnes)
{
    EXPECT_THAT(SpawnParams().disagreements(), testing::IsEmpty());
}

TEST(SpawnAttributes, AreUserAndCommand)
{
    const auto it = parsed({"user=nobody", "argv=/bin/policy", "-v", "user=x"});
    ASSERT_TRUE(it) << it.error().context;
    EXPECT_EQ(it->user, "nobody");
    EXPECT_THAT(it->words, testing::ElementsAre("/bin/policy", "-v", "user=x"));
}

TEST(SpawnAttributes, NeedBothAndNothingElse)
{
    EXPECT_FALSE(parsed({"argv=/bin/policy"}));
    EXPECT_FALSE(parsed({"user=nobody"}));
    EXPECT_FALSE(parsed({"user=nobody", "flags=x", "argv=/bin/policy"}));
}

} // namespace
} // namespace bulkhead
