#include "client_table.h"
#include "params.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace bulkhead;
using Event = ipc::ClientEvent;

namespace
{

TEST(AnvilParams, DeclarationsAgreeWithTheTable)
{
    EXPECT_THAT(AnvilParams().disagreements(), testing::IsEmpty());
}

TEST(ClientTable, CountsOpenConnections)
{
    ClientTable table(Seconds(60));
    EXPECT_EQ(table.count({Event::connect, "smtp:a"}, 100).connections, 1);
    EXPECT_EQ(table.count({Event::connect, "smtp:a"}, 100).connections, 2);
    EXPECT_EQ(table.count({Event::connect, "smtp:b"}, 100).connections, 1);
    EXPECT_EQ(table.count({Event::disconnect, "smtp:a"}, 100).connections, 1);
    EXPECT_EQ(table.count({Event::disconnect, "smtp:nobody"}, 100).connections, 0);
}

TEST(ClientTable, RatesBeginAnewWithEachTimeUnit)
{
    ClientTable table(Seconds(60));
    EXPECT_EQ(table.count({Event::message, "a"}, 100).rate, 1);
    EXPECT_EQ(table.count({Event::message, "a"}, 159).rate, 2);
    EXPECT_EQ(table.count({Event::recipient, "a"}, 159).rate, 1) << "each kind has its own";
    EXPECT_EQ(table.count({Event::message, "a"}, 160).rate, 1);
}

TEST(ClientTable, AskingForTheTlsRateCountsNothing)
{
    ClientTable table(Seconds(60));
    EXPECT_EQ(table.count({Event::new_tls, "a"}, 1).rate, 1);
    EXPECT_EQ(table.count({Event::tls_rate, "a"}, 1).rate, 1);
    EXPECT_EQ(table.count({Event::tls_rate, "a"}, 1).rate, 1);
}

TEST(ClientTable, ForgetsWhoIsGone)
{
    ClientTable table(Seconds(60));
    (void)table.count({Event::connect, "a"}, 100);
    (void)table.count({Event::message, "b"}, 100);
    table.sweep(159);
    EXPECT_EQ(table.size(), 2u);
    table.sweep(160);
    EXPECT_EQ(table.size(), 1u) << "an open connection is kept";
    (void)table.count({Event::disconnect, "a"}, 161);
    table.sweep(400);
    EXPECT_EQ(table.size(), 0u);
}

TEST(ClientTable, TellsPeaksOnce)
{
    ClientTable table(Seconds(60));
    (void)table.count({Event::connect, "smtp:192.0.2.1"}, 100);
    (void)table.count({Event::connect, "smtp:192.0.2.1"}, 100);
    EXPECT_THAT(table.take_statistics(),
                testing::ElementsAre(
                    testing::StartsWith("statistics: max connection rate 2/60s for (smtp:192.0.2.1) at "),
                    testing::StartsWith("statistics: max connection count 2 for (smtp:192.0.2.1) at "),
                    testing::StartsWith("statistics: max cache size 1 at ")));
    EXPECT_THAT(table.take_statistics(), testing::IsEmpty());
}

} // namespace
