#include "packed_recipients.h"

#include <gtest/gtest.h>

namespace bulkhead
{
namespace
{

TEST(PackedRecipients, AreUnpackedInTheirOrder)
{
    const std::vector<ipc::DeliveryRecipient> given = {
        {412, "to@x.test", "To@X.test", "rfc822;To@X.test", 7},
        {-1, "", "", "", 0},
        {std::int64_t{1} << 40, std::string(70'000, 'a'), std::string("nul\0inside", 10), "utf-8;ü@x.test",
         1},
    };
    PackedRecipients packed;
    for (const auto& recipient : given)
        packed.add(recipient);
    ASSERT_EQ(packed.size(), given.size());
    const auto unpacked = packed.unpack();
    ASSERT_EQ(unpacked.size(), given.size());
    for (std::size_t i = 0; i < given.size(); ++i) {
        EXPECT_EQ(unpacked[i].offset, given[i].offset);
        EXPECT_EQ(unpacked[i].address, given[i].address);
        EXPECT_EQ(unpacked[i].original, given[i].original);
        EXPECT_EQ(unpacked[i].dsn_original, given[i].dsn_original);
        EXPECT_EQ(unpacked[i].notify, given[i].notify);
    }
}

TEST(PackedRecipients, AreNoneInTheBeginning)
{
    EXPECT_EQ(PackedRecipients().size(), 0u);
    EXPECT_TRUE(PackedRecipients().unpack().empty());
}

} // namespace
} // namespace bulkhead
