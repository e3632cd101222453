// The command lines that real callers use, and those that no sendmail takes.
#include "sendmail_options.h"

#include "spool/envelope.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

namespace bulkhead
{

namespace
{

using testing::ElementsAre;
using testing::HasSubstr;

SendmailCall parsed(std::vector<std::string> words)
{
    std::vector<char*> argv;
    for (std::string& word : words)
        argv.push_back(word.data());
    argv.push_back(nullptr);
    ::optind = 0; // getopt starts again
    return parse_sendmail_call(static_cast<int>(words.size()), argv.data());
}

TEST(SendmailOptions, TakesCronsOwnLine)
{
    const SendmailCall call = parsed({"sendmail", "-i", "-FCronDaemon", "-B8BITMIME", "-oem", "joe"});
    EXPECT_EQ(call.fault, "");
    EXPECT_EQ(call.envelope.full_name, "CronDaemon");
    EXPECT_EQ(call.envelope.encoding, "8bit");
    EXPECT_TRUE(call.dots_are_text);
    EXPECT_THAT(call.operands, ElementsAre("joe"));
}

TEST(SendmailOptions, TakesPhpsLine)
{
    const SendmailCall call = parsed({"/usr/sbin/sendmail", "-t", "-i", "-fweb@a.example"});
    EXPECT_EQ(call.fault, "");
    EXPECT_EQ(call.sender, "web@a.example");
    EXPECT_TRUE(call.envelope.header_recipients);
}

TEST(SendmailOptions, KnowsItsOtherNames)
{
    EXPECT_EQ(parsed({"/usr/bin/mailq"}).mode, SendmailMode::list_queue);
    EXPECT_EQ(parsed({"newaliases"}).mode, SendmailMode::aliases);
}

TEST(SendmailOptions, FlushesOneMessageOrSite)
{
    EXPECT_THAT(parsed({"sendmail", "-q"}).flush_options, ElementsAre("-f"));
    EXPECT_THAT(parsed({"sendmail", "-qIABC"}).flush_options, ElementsAre("-i", "ABC"));
    EXPECT_THAT(parsed({"sendmail", "-qRa.example"}).flush_options, ElementsAre("-s", "a.example"));
    EXPECT_EQ(parsed({"sendmail", "-q30m"}).mode, SendmailMode::nothing);
}

TEST(SendmailOptions, AsksForReports)
{
    EXPECT_EQ(parsed({"sendmail", "-v", "r"}).envelope.trace_flags, trace_flag::record);
    EXPECT_EQ(parsed({"sendmail", "-v", "-v", "r"}).envelope.trace_flags, 0u);
    EXPECT_EQ(parsed({"sendmail", "-bv", "r"}).envelope.trace_flags, trace_flag::verify_only);
}

TEST(SendmailOptions, TellsOldVerpFromAnEnvelopeId)
{
    EXPECT_EQ(parsed({"sendmail", "-V", "id 1", "r"}).envelope.envelope_id, "id 1");
    const SendmailCall joined = parsed({"sendmail", "-V+=", "r"});
    EXPECT_EQ(joined.envelope.verp, "+=");
    const SendmailCall apart = parsed({"sendmail", "-V", "-f", "s", "r"});
    EXPECT_EQ(apart.sender, "s");
    EXPECT_TRUE(apart.wants_verp);
    EXPECT_THAT(apart.operands, ElementsAre("r"));
}

TEST(SendmailOptions, IgnoresBadDsnWordsWithAWarning)
{
    EXPECT_THAT(parsed({"sendmail", "-N", "x", "r"}).warnings, ElementsAre(HasSubstr("-N")));
    EXPECT_THAT(parsed({"sendmail", "-R", "x", "r"}).warnings, ElementsAre(HasSubstr("-R")));
    EXPECT_EQ(parsed({"sendmail", "-N", "x", "r"}).fault, "");
}

TEST(SendmailOptions, RefusesWhatWouldMeanSomethingElse)
{
    const std::vector<std::vector<std::string>> lines = {
        {"sendmail"},
        {"sendmail", "-Z", "r"},
        {"sendmail", "-n", "r"},
        {"sendmail", "-f"},
        {"sendmail", "-B", "8bitmime", "r"},
        {"sendmail", "-bz"},
        {"sendmail", "-bs", "-t"},
        {"sendmail", "-bv", "-t"},
        {"sendmail", "-bp", "r"},
        {"sendmail", "-q", "r"},
        {"sendmail", "-I", "r"},
        {"sendmail", "-qx"},
        {"sendmail", "-XV+", "r"},
        {"sendmail", "-X/tmp/log", "r"},
    };
    for (const auto& line : lines)
        EXPECT_NE(parsed(line).fault, "") << testing::PrintToString(line);
}

} // namespace

} // namespace bulkhead
