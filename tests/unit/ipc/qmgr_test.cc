#include "ipc/qmgr.h"

#include <gtest/gtest.h>

namespace bulkhead::ipc
{
namespace
{

TEST(QueueTaken, SaysWhoKnowsTheMailAndWhetherItPilesUp)
{
    for (const bool behind : {false, true}) {
        const auto taken = decode_queue_taken(encode(QueueTaken{.instance = 4711, .is_behind = behind}));
        ASSERT_TRUE(taken);
        EXPECT_EQ(taken->instance, 4711);
        EXPECT_EQ(taken->is_behind, behind);
    }
}

TEST(QueueTaken, IsNotWhatALeavingQueueManagerSays)
{
    const auto taken = decode_queue_taken(failure("the queue manager is leaving"));
    ASSERT_FALSE(taken);
    EXPECT_EQ(taken.error().fault, Fault::refused);
}

} // namespace
} // namespace bulkhead::ipc
