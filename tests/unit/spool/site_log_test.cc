#include "spool/site_log.h"

#include "support.h"

namespace bulkhead
{

class SiteLogs : public SpoolTest
{
};

TEST_F(SiteLogs, AreNamedAfterTheSite)
{
    EXPECT_EQ(site_log_name("Mail.Example-1.test"), "mail_example_1_test");
    EXPECT_EQ(site_log_name("[192.0.2.1]"), "_192_0_2_1_");
    EXPECT_EQ(site_log_name("../../x"), "______x");
    EXPECT_EQ(site_log_name(std::string(5000, 'a')).size(), 200U);
}

TEST_F(SiteLogs, ReleaseOnceWhatIsListedTwice)
{
    const QueueId id = id_of("AAAAAA");
    write("deferred/A/AAAAAA", "x");
    ASSERT_TRUE(append_site_log(spool_, "a.test", id));
    ASSERT_TRUE(append_site_log(spool_, "A.test", id));
    EXPECT_EQ(bytes_of(path("flush/a_test")), "AAAAAA\nAAAAAA\n");
    EXPECT_EQ(*release_site(spool_, "a.test", 1'900'000'000), 1U);
    EXPECT_TRUE(exists("incoming/AAAAAA"));
    EXPECT_EQ(file_info(spool_, "incoming/AAAAAA")->modified, 1'900'000'000);
    EXPECT_EQ(bytes_of(path("flush/a_test")), "");
}

TEST_F(SiteLogs, KeepWhatIsBeingTried)
{
    write("active/BBBBBB", "x");
    ASSERT_TRUE(append_site_log(spool_, "a.test", id_of("BBBBBB")));
    ASSERT_TRUE(append_site_log(spool_, "a.test", id_of("CCCCCC"))); // gone
    EXPECT_EQ(*release_site(spool_, "a.test", 1'900'000'000), 0U);
    EXPECT_EQ(bytes_of(path("flush/a_test")), "BBBBBB\n");
}

TEST_F(SiteLogs, AreNotNeeded)
{
    EXPECT_EQ(*release_site(spool_, "a.test", 1'900'000'000), 0U);
    EXPECT_FALSE(exists("flush/a_test"));
}

TEST_F(SiteLogs, AreUsedWhenOldAndRemovedWhenEmptyForLong)
{
    constexpr SiteLogAges ages{.refresh = 100, .purge = 1000};
    write("deferred/A/AAAAAA", "x");
    ASSERT_TRUE(append_site_log(spool_, "a.test", id_of("AAAAAA")));
    const std::int64_t now = file_info(spool_, "flush/a_test")->modified;
    EXPECT_EQ(*refresh_site_logs(spool_, ages, now + 50), 0U);
    EXPECT_EQ(*refresh_site_logs(spool_, ages, now + 200), 1U);
    EXPECT_EQ(*refresh_site_logs(spool_, ages, now + 300), 0U);
    EXPECT_TRUE(exists("flush/a_test"));
    EXPECT_EQ(*refresh_site_logs(spool_, ages, now + 2000), 0U);
    EXPECT_FALSE(exists("flush/a_test"));
}

} // namespace bulkhead
