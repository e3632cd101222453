#include "spool/moves.h"
#include "support.h"

namespace bulkhead
{

class Defer : public SpoolTest
{
};

// A disk without a free inode makes no folder; here something else is in its place.
TEST_F(Defer, AMessageThatCannotBeDeferredIsFoundInIncoming)
{
    write("active/25346A76AFF", "x");
    write("deferred/2", "not a folder");
    const auto place = defer_queue_file(spool_, Queue::active, id_of("25346A76AFF"), 1900000000);
    ASSERT_TRUE(place);
    EXPECT_EQ(*place, Queue::incoming);
    EXPECT_EQ(file_info(spool_, "incoming/25346A76AFF")->modified, 1900000000);
    EXPECT_FALSE(exists("active/25346A76AFF"));
}

TEST_F(Defer, AMessageThatIsGoneIsNotFound)
{
    const auto place = defer_queue_file(spool_, Queue::active, id_of("A"), 1900000000);
    ASSERT_FALSE(place);
    EXPECT_EQ(place.error().fault, Fault::not_found);
}

} // namespace bulkhead
