#include "config/maillog.h"

#include "config/config.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>

namespace bulkhead
{
namespace
{

class MaillogFile : public testing::Test
{
protected:
    MaillogFile()
    {
        std::string pattern = testing::TempDir() + "bulkhead-maillog-XXXXXX";
        folder_ = ::mkdtemp(pattern.data());
    }
    ~MaillogFile() override { std::filesystem::remove_all(folder_); }

    Result<> open(std::string_view permissions)
    {
        MaillogSettings settings;
        settings.file = folder_ / "log";
        settings.prefixes = folder_;
        settings.permissions = permissions;
        settings.facility = "mail";
        return open_maillog(settings, "test", false, false);
    }
    unsigned mode() const
    {
        struct stat st{};
        return ::stat((folder_ / "log").c_str(), &st) == 0 ? st.st_mode & 07777 : 0;
    }

    std::filesystem::path folder_;
};

TEST_F(MaillogFile, HasTheRightsThatTheOperatorWants)
{
    const mode_t mask = ::umask(077);
    EXPECT_TRUE(open("0640"));
    ::umask(mask);
    EXPECT_EQ(mode(), 0640U);
}

TEST_F(MaillogFile, KeepsItsRightsWhenItIsThere)
{
    ASSERT_TRUE(open("0644"));
    ASSERT_TRUE(open("0600"));
    EXPECT_EQ(mode(), 0644U);
}

TEST_F(MaillogFile, IsNotOpenToWriters)
{
    for (const char* const text : {"0666", "600", "", "0777"})
        EXPECT_FALSE(open(text)) << text;
    EXPECT_FALSE(std::filesystem::exists(folder_ / "log"));
}

TEST(MaillogSettings, KeepTheLogToRootByDefault)
{
    const auto config = Config::from(*MainCf::parse("myhostname = a.test\n", "main.cf"), "/x");
    EXPECT_EQ(MaillogSettings::from(*config).permissions, "0600");
}

} // namespace
} // namespace bulkhead
