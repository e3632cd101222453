#include "mail/date.h"
#include "mail/message_id.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

namespace bulkhead
{
namespace
{

void set_zone(const char* zone)
{
    ::setenv("TZ", zone, 1);
    ::tzset();
}

TEST(Date, IsLocalTimeWithZone)
{
    set_zone("UTC0");
    EXPECT_EQ(rfc5322_date(1795330850), "Sun, 22 Nov 2026 07:00:50 +0000 (UTC)");
    set_zone("CET-1");
    EXPECT_EQ(rfc5322_date(1795330850), "Sun, 22 Nov 2026 08:00:50 +0100 (CET)");
    set_zone("UTC0");
}

TEST(Date, ListingHasNineteenCharacters)
{
    set_zone("UTC0");
    EXPECT_EQ(listing_date(1795330911), "Sun Nov 22 07:01:51");
    EXPECT_EQ(listing_date(1793491200), "Sun Nov  1 00:00:00");
    EXPECT_EQ(asctime_date(1795330911), "Sun Nov 22 07:01:51 2026");
}

TEST(MessageId, HoldsTimeQueueIdAndHost)
{
    set_zone("CET-1");
    EXPECT_EQ(make_message_id(1795330850, "25346A76AFF", "mx.example.test"),
              "<20261122070050.25346A76AFF@mx.example.test>");
    set_zone("UTC0");
}

} // namespace
} // namespace bulkhead
