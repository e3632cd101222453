#include "tls/tickets.h"

#include <gtest/gtest.h>

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace bulkhead::tls
{
namespace
{

class TicketFile : public ::testing::Test
{
protected:
    TicketFile()
    {
        char name[] = "/tmp/tickets.XXXXXX";
        folder_ = ::mkdtemp(name);
    }
    ~TicketFile() override { std::filesystem::remove_all(folder_); }
    std::string path() const { return folder_ + "/keys"; }
    std::string folder_;
};

TEST_F(TicketFile, IsSharedByProcessesOfOneService)
{
    TicketKeys one(path(), "smtp", Seconds(100));
    TicketKeys other(path(), "smtp", Seconds(100));
    const TicketKey key = *one.current(1000);
    const TicketKey* same = other.find(key.name.data(), 1010);
    ASSERT_NE(same, nullptr);
    EXPECT_EQ(same->mac, key.mac);
}

TEST_F(TicketFile, ServicesHaveKeysOfTheirOwn)
{
    TicketKeys one(path(), "smtp", Seconds(100));
    TicketKeys other(path(), "submission", Seconds(100));
    const TicketKey key = *one.current(1000);
    EXPECT_EQ(other.find(key.name.data(), 1000), nullptr);
    EXPECT_NE(other.current(1000)->cipher, key.cipher);
}

TEST_F(TicketFile, KeysRotateAndAreForgotten)
{
    TicketKeys keys(path(), "smtp", Seconds(100));
    const TicketKey first = *keys.current(1000);
    EXPECT_EQ(keys.current(1099)->name, first.name);
    const TicketKey second = *keys.current(1100);
    EXPECT_NE(second.name, first.name);
    EXPECT_NE(keys.find(first.name.data(), 1150), nullptr);
    EXPECT_EQ(keys.find(first.name.data(), 1200), nullptr);
}

TEST_F(TicketFile, IsReadableByItsOwnerOnly)
{
    TicketKeys keys(path(), "smtp", Seconds(100));
    keys.current(1000);
    struct stat status{};
    ASSERT_EQ(::stat(path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST_F(TicketFile, ThatOthersCanReadIsNotUsed)
{
    {
        TicketKeys keys(path(), "smtp", Seconds(100));
        keys.current(1000);
    }
    ::chmod(path().c_str(), 0644);
    TicketKeys one(path(), "smtp", Seconds(100));
    TicketKeys other(path(), "smtp", Seconds(100));
    const TicketKey key = *one.current(1000); // in memory
    EXPECT_EQ(other.find(key.name.data(), 1000), nullptr);
}

} // namespace
} // namespace bulkhead::tls
