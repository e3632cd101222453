#include "params.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace
{

TEST(SmtpParams, AgreeWithTheTableOfKnownNames)
{
    EXPECT_THAT(bulkhead::SmtpParams().disagreements(), testing::IsEmpty());
}

} // namespace
