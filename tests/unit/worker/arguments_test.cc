#include "worker/arguments.h"

#include <gtest/gtest.h>

namespace bulkhead
{
namespace
{

Result<WorkerArguments> parse(std::vector<std::string> words)
{
    std::vector<char*> argv;
    for (std::string& word : words)
        argv.push_back(word.data());
    return parse_worker_arguments(argv);
}

TEST(WorkerArguments, ReadsWhatTheMasterGives)
{
    const auto arguments = parse({"/x/libexec/smtpd", "-n", "127.0.0.1:25", "-t", "inet", "-c", "-u", "-s",
                                  "2", "-vv", "-o", "a=b c", "-o", "d=", "user=vmail", "argv=/bin/x", "-d"});
    ASSERT_TRUE(arguments);
    EXPECT_EQ(arguments->program, "smtpd");
    EXPECT_EQ(arguments->service, "127.0.0.1:25");
    EXPECT_EQ(arguments->type, "inet");
    EXPECT_TRUE(arguments->change_root);
    EXPECT_TRUE(arguments->unprivileged);
    EXPECT_EQ(arguments->listeners, 2);
    EXPECT_EQ(arguments->verbosity, 2);
    EXPECT_EQ(arguments->overrides, (std::vector<std::string>{"a=b c", "d="}));
    EXPECT_EQ(arguments->plain, (std::vector<std::string>{"user=vmail", "argv=/bin/x", "-d"}));
}

TEST(WorkerArguments, RunByHandTheProgramIsItsOwnService)
{
    const auto arguments = parse({"smtpd", "-S"});
    ASSERT_TRUE(arguments);
    EXPECT_TRUE(arguments->standalone);
    EXPECT_EQ(arguments->service, "smtpd");
}

TEST(WorkerArguments, RefusesWhatItDoesNotKnow)
{
    EXPECT_FALSE(parse({"smtpd", "-Z"}));
    EXPECT_FALSE(parse({"smtpd", "-n"}));
    EXPECT_FALSE(parse({"smtpd", "-s", "x"}));
}

} // namespace
} // namespace bulkhead
