#include "intake.h"

#include "spool/lock.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace bulkhead
{

class Intake : public testing::Test
{
protected:
    Intake() : spool_(open()) {}
    ~Intake() override { std::filesystem::remove_all(root_); }

    void write(const std::string& path, const std::string& bytes, mode_t mode, std::int64_t modified) const
    {
        std::ofstream(root_ / path, std::ios::binary) << bytes;
        ::chmod((root_ / path).c_str(), mode);
        ASSERT_TRUE(set_queue_file_time(spool_, path, modified));
    }
    bool exists(const std::string& path) const { return std::filesystem::exists(root_ / path); }

    static constexpr std::int64_t now = 1800000000;
    std::filesystem::path root_;
    Spool spool_;

private:
    Spool open()
    {
        char name[] = "/tmp/intake.XXXXXX";
        root_ = ::mkdtemp(name);
        for (const char* queue : {"incoming", "active", "corrupt", "defer"})
            std::filesystem::create_directory(root_ / queue);
        SpoolLayout layout;
        layout.root = root_;
        return *Spool::open(layout);
    }
};

TEST_F(Intake, FilesThatNeverGotTheirNameAreRemoved)
{
    write("incoming/165672.19241", "", 0600, now - 60);
    write("incoming/165672.19241.1", "", 0600, now - 60);
    EXPECT_EQ(*remove_nameless(spool_, now), 0u);
    EXPECT_TRUE(std::filesystem::is_empty(root_ / "incoming"));
}

TEST_F(Intake, OtherFilesAreLeftAlone)
{
    write("incoming/notes.txt", "", 0600, now - 60);
    write("incoming/1.2", "somebody's", 0600, now - 60);
    write("incoming/2.3", "", 0700, now - 60);
    write("incoming/25346A76AFF", "", 0600, now - 60);
    EXPECT_EQ(*remove_nameless(spool_, now), 0u);
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(root_ / "incoming"), {}), 4);
}

TEST_F(Intake, AYoungOneMayStillGetItsName)
{
    write("incoming/165672.19241", "", 0600, now - 1);
    EXPECT_EQ(*remove_nameless(spool_, now), 1u);
    EXPECT_TRUE(exists("incoming/165672.19241"));
}

TEST_F(Intake, ALockedOneHasALivingWriter)
{
    write("incoming/165672.19241", "", 0600, now - 60);
    const UniqueFd writer(::open((root_ / "incoming/165672.19241").c_str(), O_RDWR));
    ASSERT_TRUE(*try_lock(writer.get(), FileLock::exclusive));
    EXPECT_EQ(*remove_nameless(spool_, now), 0u);
    EXPECT_TRUE(exists("incoming/165672.19241"));
}

TEST_F(Intake, OneFileThatCannotBeRecoveredDoesNotKeepTheOthersBack)
{
    write("active/25346A76AFF", "x", 0700, now);
    write("incoming/25346A76AFF", "the same name", 0700, now);
    write("active/25346A76B00", "y", 0700, now);
    write("active/25346A76B01", "z", 0700, now);
    EXPECT_FALSE(recover_active(spool_));
    EXPECT_TRUE(exists("incoming/25346A76B00"));
    EXPECT_TRUE(exists("incoming/25346A76B01"));
    EXPECT_TRUE(exists("active/25346A76AFF"));
}

} // namespace bulkhead
