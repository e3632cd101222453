// Commands: what their ends mean, and real ones with a real starter.
#include "delivery/command_run.h"

#include "os/files.h"
#include "spool/record.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

namespace bulkhead
{
namespace
{

using testing::HasSubstr;
using testing::StartsWith;
using Kind = CommandVerdict::Kind;

struct End {
    const char* name;
    int status; // as wait(2) has it
    const char* output;
    Kind kind;
    const char* dsn;
    const char* text;
};

class CommandEnds : public testing::TestWithParam<End>
{
};

TEST_P(CommandEnds, MeanThis)
{
    CommandResult result;
    result.wait_status = GetParam().status;
    result.output = GetParam().output;
    const CommandVerdict verdict = verdict_of(result, "/bin/x");
    EXPECT_EQ(verdict.kind, GetParam().kind);
    EXPECT_EQ(verdict.dsn, GetParam().dsn);
    EXPECT_EQ(verdict.text, GetParam().text);
}

INSTANTIATE_TEST_SUITE_P(
    Statuses, CommandEnds,
    testing::Values(End{"Ok", 0, "5.1.1 no", Kind::delivered, "2.0.0", ""},
                    End{"NoUser", EX_NOUSER << 8, "oops\n", Kind::failed, "5.1.1",
                        "user unknown. Command output: oops "},
                    End{"TempFail", EX_TEMPFAIL << 8, "", Kind::try_later, "4.3.0", "temporary failure"},
                    End{"OsError", EX_OSERR << 8, "", Kind::try_later, "4.3.0", "system resource problem"},
                    End{"Unknown", 1 << 8, "a\nb", Kind::failed, "5.3.0",
                        "Command died with status 1: \"/bin/x\". Command output: a b"},
                    End{"Signal", 9, "", Kind::try_later, "4.3.0", "Command died with signal 9: \"/bin/x\""},
                    End{"OwnCode", 1 << 8, "5.7.1 not you\n", Kind::failed, "5.7.1", "not you"},
                    End{"OwnTemporaryCode", EX_NOUSER << 8, "4.2.2 full", Kind::try_later, "4.2.2", "full"},
                    End{"SuccessCodeOfAFailure", 1 << 8, "2.0.0 ok", Kind::failed, "5.3.0",
                        "Command died with status 1: \"/bin/x\". Command output: 2.0.0 ok"},
                    End{"ControlBytes", EX_NOPERM << 8, "a\033[1m", Kind::failed, "5.7.0",
                        "permission denied. Command output: a?[1m"}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(CommandEnds, TimeIsOver)
{
    CommandResult result;
    result.timed_out = true;
    EXPECT_EQ(verdict_of(result, "x").text, "Command time limit exceeded: \"x\"");
}

TEST(CommandRequest, SurvivesTheWire)
{
    Command command;
    command.user = {1000, 1001};
    command.root = "/r";
    command.words = {"/bin/x", "", "a b"};
    command.environment = {"A=b"};
    const auto bytes = encode_command(command);
    ASSERT_TRUE(bytes);
    const auto again = decode_command(*bytes);
    ASSERT_TRUE(again) << again.error().context;
    EXPECT_EQ(again->user, command.user);
    EXPECT_EQ(again->root, "/r");
    EXPECT_EQ(again->directory, "");
    EXPECT_EQ(again->words, command.words);
    EXPECT_EQ(again->environment, command.environment);
}

TEST(CommandRequest, RefusesNonsense)
{
    using namespace std::string_view_literals;
    for (const std::string_view bytes :
         {""sv, "1\0"sv, "1\0002\0\0\0000\0"sv, "1\0002\0\0\0003\0x\0"sv, "x\0002\0\0\0001\0x\0"sv,
          "99999999999\0002\0\0\0001\0x\0"sv, "1\0002\0\0\0001\0x"sv})
        EXPECT_FALSE(decode_command(bytes)) << bytes.size();
    Command big;
    big.words = {std::string(CommandStarter::size_limit, 'x')};
    EXPECT_FALSE(encode_command(big));
}

// As root commands run as another user, so that the change of identity is tested too.
class Commands : public testing::Test
{
protected:
    void SetUp() override
    {
        ::signal(SIGPIPE, SIG_IGN); // as every worker has it
        auto starter = CommandStarter::create({{4321}, {}, "test"});
        ASSERT_TRUE(starter) << starter.error().context;
        starter_.emplace(std::move(*starter));
        std::string records;
        for (int line = 0; line < 20'000; ++line)
            append_text(records, "a line of the message, long enough to fill a pipe some time");
        append_record(records, RecordType::extracted_start, "");
        auto file = sealed_copy(records);
        ASSERT_TRUE(file);
        message_ = std::move(*file);
    }

    Result<CommandResult> run(std::string script, Seconds limit = Seconds(20))
    {
        CommandRun plan;
        plan.command.user =
            ::geteuid() == 0 ? CommandIdentity{54321, 54322} : CommandIdentity{::geteuid(), ::getegid()};
        plan.command.words = {"/bin/sh", "-c", std::move(script)};
        plan.command.environment = {"PATH=/usr/bin:/bin", "GREETING=hello"};
        plan.message.queue_file = message_.get();
        plan.time_limit = limit;
        return run_command(*starter_, plan);
    }

    std::optional<CommandStarter> starter_;
    UniqueFd message_;
};

TEST_F(Commands, GetTheMessageAndTheirEnvironment)
{
    const auto result = run("wc -l; echo $GREETING; exit 3");
    ASSERT_TRUE(result) << result.error().context;
    EXPECT_EQ(result->output, "20000\nhello\n");
    EXPECT_EQ(result->wait_status, 3 << 8);
}

TEST_F(Commands, RunAsTheUserWithOneGroup)
{
    if (::geteuid() != 0)
        GTEST_SKIP() << "only root can become others";
    const auto result = run("id -u; id -g; id -G; umask; grep -E '^(CapEff|NoNewPrivs)' /proc/self/status");
    ASSERT_TRUE(result);
    EXPECT_THAT(result->output, StartsWith("54321\n54322\n54322\n0077\n"));
    EXPECT_THAT(result->output, HasSubstr("CapEff:\t0000000000000000"));
    EXPECT_THAT(result->output, HasSubstr("NoNewPrivs:\t0"));
}

TEST_F(Commands, HaveNoDescriptorsOfOthers)
{
    const auto result = run("ls /proc/self/fd | wc -l");
    ASSERT_TRUE(result);
    EXPECT_EQ(result->output, "4\n"); // 0, 1, 2 and the folder
}

TEST_F(Commands, NeedNotReadAll)
{
    const auto result = run("exit 0");
    ASSERT_TRUE(result) << result.error().context;
    EXPECT_EQ(result->wait_status, 0);
}

TEST_F(Commands, AreKilledWithTheirChildrenWhenTheTimeIsOver)
{
    char mark[] = "/tmp/bulkhead-command-XXXXXX";
    const UniqueFd fd(::mkstemp(mark));
    ASSERT_TRUE(fd);
    ::fchmod(fd.get(), 0666);
    const auto result =
        run(fmt::format("(sleep 60; echo late > {0}) & echo early; sleep 60", mark), Seconds(1));
    ASSERT_TRUE(result) << result.error().context;
    EXPECT_TRUE(result->timed_out);
    EXPECT_EQ(result->output, "early\n");
    ::unlink(mark);
}

TEST_F(Commands, SpeakOnlyALittle)
{
    const auto result = run("yes | head -c 200000");
    ASSERT_TRUE(result);
    EXPECT_EQ(result->output.size(), command_output_limit);
}

TEST_F(Commands, ThatDoNotExistAreATemporaryFailure)
{
    CommandRun plan;
    plan.command.user =
        ::geteuid() == 0 ? CommandIdentity{54321, 54322} : CommandIdentity{::geteuid(), ::getegid()};
    plan.command.words = {"/no/such/command"};
    plan.message.queue_file = message_.get();
    const auto result = run_command(*starter_, plan);
    ASSERT_TRUE(result);
    EXPECT_EQ(result->wait_status, EX_TEMPFAIL << 8);
    EXPECT_EQ(result->output, "test: fatal: execvp /no/such/command: No such file or directory\n");
}

TEST_F(Commands, NeverRunAsRootOrAsWhoIsRefused)
{
    if (::geteuid() != 0)
        GTEST_SKIP() << "only root can become others";
    for (const CommandIdentity user : {CommandIdentity{0, 100}, CommandIdentity{100, 0},
                                       CommandIdentity{4321, 100}, CommandIdentity{~uid_t{0}, 100}}) {
        CommandRun plan;
        plan.command.user = user;
        plan.command.words = {"/bin/true"};
        plan.message.queue_file = message_.get();
        const auto result = run_command(*starter_, plan);
        ASSERT_FALSE(result);
        EXPECT_EQ(result.error().fault, Fault::refused);
    }
}

} // namespace
} // namespace bulkhead
