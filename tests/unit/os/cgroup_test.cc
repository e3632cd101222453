// Control groups, in a folder that stands for the kernel's tree.
#include "os/cgroup.h"
#include "os/files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace bulkhead
{
namespace
{

class CgroupTest : public testing::Test
{
protected:
    void SetUp() override { ASSERT_NE(::mkdtemp(top_.data()), nullptr); }
    void TearDown() override { std::filesystem::remove_all(top_); }

    void delegate(std::string_view controllers)
    {
        std::ofstream(top_ + "/cgroup.controllers") << controllers;
    }
    std::string content(const std::string& name)
    {
        return read_file(top_ + "/" + name).value_or("(missing)");
    }

    std::string top_ = "/tmp/bh-cgroup-XXXXXX";
};

TEST_F(CgroupTest, TheMasterMakesRoomForGroupsBelow)
{
    delegate("cpuset cpu io memory hugetlb pids rdma\n");
    ASSERT_TRUE(CgroupTree::take_over(top_));
    EXPECT_EQ(content("master/cgroup.procs"), std::to_string(::getpid()));
    EXPECT_EQ(content("cgroup.subtree_control"), "+pids"); // the last of three
}

TEST_F(CgroupTest, AControllerThatIsMissingIsNamed)
{
    delegate("cpu pids\n");
    const auto tree = CgroupTree::take_over(top_);
    ASSERT_FALSE(tree);
    EXPECT_EQ(tree.error().context, top_ + " has no controller \"memory\"");
    EXPECT_FALSE(std::filesystem::exists(top_ + "/master"));
}

TEST_F(CgroupTest, LimitsAreTheKernelsFiles)
{
    delegate("cpu memory pids\n");
    const auto tree = CgroupTree::take_over(top_);
    ASSERT_TRUE(tree);
    const auto group = tree->make("environment-b");
    ASSERT_TRUE(group);
    ASSERT_TRUE(group->limit({.memory = 64 << 20, .cpu_weight = 50, .tasks = 0}));
    ASSERT_TRUE(group->add(4711));
    EXPECT_EQ(content("environment-b/memory.max"), "67108864");
    EXPECT_EQ(content("environment-b/cpu.weight"), "50");
    EXPECT_EQ(content("environment-b/pids.max"), "max");
    EXPECT_EQ(content("environment-b/cgroup.procs"), "4711");
}

TEST_F(CgroupTest, AnEmptyGroupGoesWithItsObject)
{
    delegate("cpu memory pids\n");
    const auto tree = CgroupTree::take_over(top_);
    ASSERT_TRUE(tree);
    ASSERT_TRUE(tree->make("environment-b"));
    EXPECT_FALSE(std::filesystem::exists(top_ + "/environment-b"));
}

// Where the kernel's tree is writable: without limits, which the machine may keep elsewhere.
TEST_F(CgroupTest, TheKernelsTreeTakesProcesses)
{
    const auto own = own_cgroup();
    const std::string folder = own.value_or("/nonexistent") + "/bulkhead-test";
    if (::geteuid() != 0 || ::mkdir(folder.c_str(), 0755) != 0)
        GTEST_SKIP() << "no cgroup v2 that can be written";
    const pid_t child = ::fork();
    if (child == 0)
        for (;;)
            ::pause();
    std::ofstream(folder + "/cgroup.procs") << child << std::flush;
    EXPECT_EQ(read_file(folder + "/cgroup.procs").value_or(""), std::to_string(child) + "\n");
    ::kill(child, SIGKILL);
    while (::rmdir(folder.c_str()) != 0 && errno == EBUSY)
        ::usleep(1000);
    EXPECT_FALSE(std::filesystem::exists(folder));
}

} // namespace
} // namespace bulkhead
