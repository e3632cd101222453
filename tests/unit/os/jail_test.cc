// The jail of a worker, entered by a child of the test.  Needs root, as the tests run.
#include "base/unique_fd.h"
#include "os/jail.h"

#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/socket.h>
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

TEST(FindUser, NamesTheOneThatDoesNotExist)
{
    const auto user = find_user("no-such-user-here");
    ASSERT_FALSE(user);
    EXPECT_EQ(user.error().context, "unknown user: no-such-user-here");
}

} // namespace
} // namespace bulkhead
