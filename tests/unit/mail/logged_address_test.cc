#include "mail/logged_address.h"

#include <gtest/gtest.h>

using namespace bulkhead;

namespace
{

class LoggedAddress : public testing::Test
{
protected:
    void TearDown() override { ASSERT_TRUE(choose_logged_form("external")); }
};

TEST_F(LoggedAddress, IsQuotedUnlessTheOperatorWantsItRaw)
{
    EXPECT_EQ(logged_form("a b@example.test"), "\"a b\"@example.test");
    ASSERT_TRUE(choose_logged_form("internal"));
    EXPECT_EQ(logged_form("a b@example.test"), "a b@example.test");
}

TEST_F(LoggedAddress, HasNoOtherForm)
{
    const auto chosen = choose_logged_form("quoted");
    ASSERT_FALSE(chosen);
    EXPECT_EQ(chosen.error().fault, Fault::config);
}

} // namespace
