#include "datagrams.h"
#include "log_file.h"

#include "os/files.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <string>

namespace bulkhead
{
namespace
{

std::string cleaned(std::string text)
{
    const std::size_t size = text.size();
    text.push_back('#'); // the byte behind
    text.resize(clean_lines(text.data(), size));
    return text;
}

TEST(CleanLines, EndsTheLastLine)
{
    EXPECT_EQ(cleaned("one\ntwo"), "one\ntwo\n");
    EXPECT_EQ(cleaned("one\n"), "one\n");
    EXPECT_EQ(cleaned(""), "");
}

TEST(CleanLines, ReplacesWhatIsNoText)
{
    EXPECT_EQ(cleaned("a\x1b[31mb\tc\r\nd\x7f\xff\n"), "a?[31mb?c?\nd??\n");
    EXPECT_EQ(cleaned(std::string("a\0b", 3)), "a?b\n");
    EXPECT_EQ(cleaned("caf\xc3\xa9"), "caf\xc3\xa9\n");
}

struct Path {
    std::string name = testing::TempDir() + "bulkhead-log";
    Path()
    {
        std::remove(name.c_str());
        std::fclose(std::fopen(name.c_str(), "w"));
    }
    ~Path() { std::remove(name.c_str()); }
};

bool append(LogFile& file, std::string text)
{
    iovec piece{text.data(), text.size()};
    return file.append({&piece, 1});
}

TEST(LogFile, AppendsAllPieces)
{
    const Path path;
    auto file = LogFile::open(path.name);
    ASSERT_TRUE(file);
    std::string one = "one\n", two = "two\nthree\n";
    iovec pieces[] = {{one.data(), one.size()}, {two.data(), two.size()}};
    EXPECT_TRUE(file->append(pieces));
    EXPECT_EQ(*read_file(path.name), "one\ntwo\nthree\n");
    EXPECT_EQ(file->take_lost(), 0u);
}

TEST(LogFile, CountsWhatAFullDiskTakesAway)
{
    auto file = LogFile::open("/dev/full");
    ASSERT_TRUE(file);
    EXPECT_FALSE(append(*file, "one\ntwo\n"));
    EXPECT_EQ(file->take_lost(), 2u);
    EXPECT_EQ(file->take_lost(), 0u);
    EXPECT_EQ(file->reason(), "No space left on device");
}

TEST(LogFile, WithoutAFileEverythingIsLost)
{
    LogFile file;
    EXPECT_FALSE(append(file, "one\n"));
    EXPECT_EQ(file.take_lost(), 1u);
}

} // namespace
} // namespace bulkhead
