#include "params.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bulkhead
{
namespace
{

TEST(FlushParams, AgreeWithTheTableOfKnownNames)
{
    EXPECT_THAT(FlushParams().disagreements(), testing::IsEmpty());
}

} // namespace
} // namespace bulkhead
