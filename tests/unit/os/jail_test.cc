// The jail of a worker, entered by a child of the test.  Needs root, as the tests run.
#include "base/unique_fd.h"
#include "os/jail.h"

#include <sched.h>
#include <sys/capability.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <memory>

namespace bulkhead
{
namespace
{

struct Status {
    int exit_code = -1;
    int signal = 0;
};

// Enters the jail in a child and tells what `inside` found there (0: all well).
Status in_jail(const JailPolicy& policy, const std::function<int()>& inside)
{
    char folder[] = "/tmp/bh-jail-XXXXXX";
    EXPECT_NE(::mkdtemp(folder), nullptr);
    EXPECT_EQ(::chmod(folder, 0755), 0);
    const pid_t child = ::fork();
    if (child == 0) {
        Jail jail;
        jail.directory = folder;
        jail.change_root = true;
        const auto nobody = find_user("nobody");
        if (!nobody)
            ::_exit(90);
        jail.user = *nobody;
        jail.policy = policy;
        if (!enter_jail(jail))
            ::_exit(91);
        ::_exit(inside());
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    ::rmdir(folder);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, WIFSIGNALED(status) ? WTERMSIG(status) : 0};
}

class JailTest : public testing::Test
{
    void SetUp() override
    {
        if (::geteuid() != 0)
            GTEST_SKIP() << "needs root";
    }
};

TEST_F(JailTest, LeavesNoRightsAndNoFiles)
{
    const auto inside = [] {
        if (::getuid() == 0 || ::geteuid() == 0 || ::getgid() == 0)
            return 1;
        const std::unique_ptr<_cap_struct, int (*)(void*)> caps(::cap_get_proc(), ::cap_free);
        cap_flag_value_t value = CAP_SET;
        for (cap_value_t capability = 0; CAP_IS_SUPPORTED(capability); ++capability)
            for (const cap_flag_t flag : {CAP_EFFECTIVE, CAP_PERMITTED, CAP_INHERITABLE})
                if (::cap_get_flag(caps.get(), capability, flag, &value) != 0 || value != CAP_CLEAR)
                    return 2;
        if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
            return 3;
        if (::access("/etc/passwd", F_OK) == 0)
            return 4;
        if (::setuid(0) == 0)
            return 5;
        return 0;
    };
    EXPECT_EQ(in_jail({}, inside).exit_code, 0);
}

TEST_F(JailTest, KeepsWhatTheJobNamesAndNothingElse)
{
    const auto inside = [] {
        const std::unique_ptr<_cap_struct, int (*)(void*)> caps(::cap_get_proc(), ::cap_free);
        cap_flag_value_t value = CAP_CLEAR;
        ::cap_get_flag(caps.get(), CAP_SETUID, CAP_EFFECTIVE, &value);
        if (value != CAP_SET)
            return 1;
        ::cap_get_flag(caps.get(), CAP_DAC_OVERRIDE, CAP_PERMITTED, &value);
        return value == CAP_CLEAR ? 0 : 2;
    };
    JailPolicy policy;
    policy.keep = {Capability::become_user};
    EXPECT_EQ(in_jail(policy, inside).exit_code, 0);
}

#ifndef BULKHEAD_SANITIZED

TEST_F(JailTest, OnlyNetworkWorkersOpenInetSockets)
{
    const auto can_open = [] { return UniqueFd(::socket(AF_INET, SOCK_STREAM, 0)) ? 1 : 0; };
    EXPECT_EQ(in_jail({}, can_open).exit_code, 0);
    JailPolicy network;
    network.network = true;
    EXPECT_EQ(in_jail(network, can_open).exit_code, 1);
}

// setfsuid tells the identity before, so that an impossible one asks.
bool can_act_as(unsigned long user)
{
    ::syscall(SYS_setfsuid, user);
    const bool became = ::setfsuid(static_cast<uid_t>(-1)) == static_cast<int>(user & 0xffffffff);
    ::syscall(SYS_setfsuid, ::getuid());
    return became;
}

TEST_F(JailTest, RefusedUsersCannotBeActedAs)
{
    const auto act = [] {
        for (const unsigned long refused : {0UL, 70UL, 1000UL, 1234UL, 40000UL, 0x1000003e8UL})
            if (can_act_as(refused))
                return 1;
        for (const unsigned long allowed : {69UL, 71UL, 999UL, 40001UL})
            if (!can_act_as(allowed))
                return 2;
        return 0;
    };
    JailPolicy policy;
    policy.keep = {Capability::become_user};
    policy.refused.users = {{0, 0}, {70, 70}, {1000, 40000}};
    EXPECT_EQ(in_jail(policy, act).exit_code, 0);
}

TEST_F(JailTest, NoNamespaceOfItsOwn)
{
    const auto try_it = [] {
        return ::syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, nullptr, nullptr, nullptr, nullptr) < 0 &&
                       errno == ENOSYS
                   ? 0
                   : 1;
    };
    EXPECT_EQ(in_jail({}, try_it).exit_code, 0);
}

TEST_F(JailTest, TasksOfItsUserAreCounted)
{
    const auto fork_often = [] {
        for (int i = 0; i < 300; ++i) {
            const pid_t child = ::fork();
            if (child == 0)
                ::_exit(::usleep(2'000'000));
            if (child < 0)
                return errno == EAGAIN ? 0 : 2;
        }
        return 1;
    };
    JailPolicy policy;
    policy.task_limit = 100;
    EXPECT_EQ(in_jail(policy, fork_often).exit_code, 0);
}

TEST_F(JailTest, RunningAnotherProgramEndsTheProcess)
{
    const auto run = [] {
        char name[] = "/bin/true";
        char* argv[] = {name, nullptr};
        ::execve(name, argv, nullptr);
        return 1;
    };
    EXPECT_EQ(in_jail({}, run).signal, SIGSYS);
}

#endif

TEST(RefusedIds, AreRangesOfUsersAndGroups)
{
    const auto ids = RefusedIds::parse("u0 u200-299 g117");
    ASSERT_TRUE(ids);
    EXPECT_EQ(ids->users, (std::vector<IdRange>{{0, 0}, {200, 299}}));
    EXPECT_EQ(ids->groups, (std::vector<IdRange>{{117, 117}}));
    for (const char* const bad : {"x1", "u", "u9-1", "u1-", "u4294967296", "u1 200"})
        EXPECT_FALSE(RefusedIds::parse(bad)) << bad;
}

TEST(RefusedIds, OnesOwnAreNotRefused)
{
    const RefusedIds ids{.users = {{100, 102}, {200, 200}}, .groups = {{5, 9}}};
    EXPECT_EQ(ids.without(101, 5).users, (std::vector<IdRange>{{100, 100}, {102, 102}, {200, 200}}));
    EXPECT_EQ(ids.without(200, 5).groups, (std::vector<IdRange>{{6, 9}}));
    EXPECT_EQ(ids.without(200, 5).users, (std::vector<IdRange>{{100, 102}}));
}

TEST(FindUser, NamesTheOneThatDoesNotExist)
{
    const auto user = find_user("no-such-user-here");
    ASSERT_FALSE(user);
    EXPECT_EQ(user.error().context, "unknown user: no-such-user-here");
}

} // namespace
} // namespace bulkhead
