#include "submission.h"

#include "os/files.h"
#include "params.h"
#include "spool/record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace bulkhead;
using testing::ElementsAre;

namespace
{

using Records = std::vector<std::string>;

std::string encode(const Records& records)
{
    std::string out;
    for (const std::string& one : records)
        append_record(out, static_cast<RecordType>(one[0]), one.size() > 2 ? one.substr(2) : std::string());
    return out;
}

Records decode(std::string_view bytes)
{
    Records records;
    RecordReader reader(bytes);
    for (;;) {
        const auto record = reader.next();
        if (!record || !*record)
            return records;
        records.push_back(std::string(1, static_cast<char>((*record)->type)) + ':' +
                          std::string((*record)->data));
    }
}

SubmissionFacts facts()
{
    SubmissionFacts facts;
    facts.owner = 1000;
    facts.modified = 1795331558;
    facts.myhostname = "mx.test";
    facts.mail_name = "Bulkhead";
    return facts;
}

struct Copy {
    Records records;
    bool failed = false;
};

Copy copy(std::string_view file, const SubmissionFacts& about)
{
    Submission submission(file, about);
    std::string out;
    if (!submission.read_envelope(out))
        return {{}, true};
    submission.begin_content(out, "ID1");
    for (;;) {
        std::string more;
        const auto going = submission.read_content(more, 10);
        out += more;
        if (!going)
            return {{}, true};
        if (!*going)
            return {decode(out), false};
    }
}

TEST(Submission, TakesWhatSendmailOfPostfixWrote)
{
    const std::string file = *read_file(TEST_DATA "/queue-files/maildrop-verp-dsn.AD607A76053");
    EXPECT_THAT(copy(file, facts()).records,
                ElementsAre("T:1795331558 710110", "A:envelope_id=envid1", "A:ret_flags=1",
                            "A:rewrite_context=local", "F:Full Name", "S:s@fmap.test", "A:encoding=8bit",
                            "V:+=", "A:notify_flags=6", "R:r@refuse.test", "A:notify_flags=6",
                            "R:user1@local.test", "M:", "N:Received: by mx.test (Bulkhead, from userid 1000)",
                            testing::StartsWith("N:\tid ID1; Sun, 22 Nov 2026 "), "N:From: a",
                            "N:Subject: maildrop example", "N:", "N:line one", "N:line two", "X:", "E:"));
}

TEST(Submission, TakesAQueueFileAgainWithoutWhatIsDone)
{
    const std::string file = encode({"C:1 2 3",
                                     "T:1 2",
                                     "A:create_time=5",
                                     "A:client_name=x",
                                     "A:rewrite_context=remote",
                                     "S:s@a.test",
                                     "A:log_helo_name=h",
                                     "W:9",
                                     "A:dsn_orig_rcpt=rfc822;a@b",
                                     "O:done@b",
                                     "D:done@b",
                                     "A:notify_flags=6",
                                     "O:orig@b",
                                     "R:todo@b",
                                     "M",
                                     "N:Subject: x",
                                     "w:  ",
                                     "X",
                                     "L:smtp:filter",
                                     ">:redirect@b",
                                     "A:encoding=8bit",
                                     "O:gone@b",
                                     "/:gone@b",
                                     "R:late@b",
                                     "E"});
    SubmissionFacts about = facts();
    about.queued_before = true;
    const Copy made = copy(file, about);
    EXPECT_THAT(made.records,
                ElementsAre("T:1 2", "A:client_name=x", "A:rewrite_context=remote", "S:s@a.test",
                            "A:log_helo_name=h", "A:notify_flags=6", "O:orig@b", "R:todo@b",
                            "M:", testing::StartsWith("N:Received: "), testing::StartsWith("N:\tid "),
                            "N:Subject: x", "X:", "R:late@b", "E:"));
}

TEST(Submission, DropsWhatUsersMayNotSay)
{
    const Copy made = copy(encode({"T:1 2", "A:client_name=x", "A:sasl_username=boss", "S:s", "L:smtp:me",
                                   "R:r", "M", "N:x", "X", "E"}),
                           facts());
    EXPECT_THAT(made.records,
                ElementsAre("T:1 2", "S:s", "R:r", "M:", testing::_, testing::_, "N:x", "X:", "E:"));
}

TEST(Submission, SendsEverythingThroughTheFilter)
{
    SubmissionFacts about = facts();
    about.content_filter = "scan:[127.0.0.1]:10025";
    EXPECT_THAT(copy(encode({"S:s", "R:r", "M", "X", "E"}), about).records,
                testing::Contains("L:scan:[127.0.0.1]:10025"));
}

TEST(Submission, KnowsContextAndAddresses)
{
    const std::string file = encode({"A:rewrite_context=remote", "S:\xc3\xa9@a", "R:r", "M", "X", "E"});
    Submission submission(file, facts());
    std::string out;
    ASSERT_TRUE(submission.read_envelope(out));
    EXPECT_FALSE(submission.is_local());
    EXPECT_TRUE(submission.has_utf8_addresses());
    EXPECT_EQ(submission.sender(), "\xc3\xa9@a");
}

TEST(Submission, RefusesDamage)
{
    for (const Records& records :
         {Records{}, Records{"S:s", "R:r"}, Records{"R:r", "M", "X", "E"}, Records{"M", "X", "E"},
          Records{"S:s", "S:t", "R:r", "M", "X", "E"}, Records{"S:s", "R:r", "M", "N:x"},
          Records{"S:s", "R:r", "M", "N:x", "X"}, Records{"S:s", "R:r", "M", "R:x", "X", "E"},
          Records{"S:s", "R:r", "M", "X", "S:t", "E"}, Records{"S:s", "A:noname", "R:r", "M", "X", "E"},
          Records{std::string("\0", 1), "S:s", "R:r", "M", "X", "E"}})
        EXPECT_TRUE(copy(encode(records), facts()).failed) << testing::PrintToString(records);
}

TEST(PickupParams, AgreeWithTheTableOfNames)
{
    EXPECT_THAT(PickupParams().disagreements(), ElementsAre());
}

} // namespace
