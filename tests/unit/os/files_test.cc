#include "os/files.h"

#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace bulkhead
{
namespace
{

class FilesTest : public testing::Test
{
protected:
    void SetUp() override
    {
        char name[] = "/tmp/bh-files-XXXXXX";
        ASSERT_NE(::mkdtemp(name), nullptr);
        folder = name;
    }
    void TearDown() override { std::filesystem::remove_all(folder); }
    std::string folder;
};

TEST_F(FilesTest, AFileLargerThanItsLimitIsRefused)
{
    const std::string path = folder + "/big";
    std::ofstream(path) << std::string(100'000, 'x');
    EXPECT_EQ(read_file(path, 50'000).error().fault, Fault::limit);
    EXPECT_EQ(read_file(path)->size(), 100'000u);
    EXPECT_EQ(read_file(folder + "/none").error().number, ENOENT);
    EXPECT_EQ(read_file(folder).error().number, EISDIR);
}

TEST_F(FilesTest, ALockNamesItsHolderAndDiesWithIt)
{
    const std::string path = folder + "/master.pid";
    int ready[2];
    ASSERT_EQ(::pipe(ready), 0);
    const pid_t holder = ::fork();
    if (holder == 0) {
        auto lock = LockFile::acquire(path, 0600);
        const bool good = lock && lock->write_pid(::getpid());
        (void)!::write(ready[1], good ? "y" : "n", 1);
        ::pause();
        ::_exit(0);
    }
    char answer = 0;
    ASSERT_EQ(::read(ready[0], &answer, 1), 1);
    ASSERT_EQ(answer, 'y');
    EXPECT_EQ(std::filesystem::file_size(path), 33u); // 32 columns and LF
    const auto second = LockFile::acquire(path, 0600);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().fault, Fault::refused);
    EXPECT_NE(second.error().context.find(std::to_string(holder)), std::string::npos);
    EXPECT_FALSE(LockFile::is_free(path));
    ::kill(holder, SIGKILL);
    ::waitpid(holder, nullptr, 0);
    EXPECT_TRUE(LockFile::is_free(path));
    EXPECT_TRUE(LockFile::acquire(path, 0600));
    ::close(ready[0]);
    ::close(ready[1]);
}

TEST_F(FilesTest, ASocketPathThatIsTooLongIsAnError)
{
    EXPECT_EQ(listen_unix(folder + "/" + std::string(200, 's'), 5).error().fault, Fault::limit);
}

} // namespace
} // namespace bulkhead
