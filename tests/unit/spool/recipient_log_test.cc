#include "spool/recipient_log.h"

#include "support.h"

namespace bulkhead
{

static RecipientLogEntry entry_of(const std::string& name)
{
    return parse_recipient_log(fixture(name), Queue::defer).entries.at(0);
}

TEST(RecipientLog, ReadsWhatPostfixWrote)
{
    const auto log = parse_recipient_log(fixture("deferlog.A12B6A76072"), Queue::defer);
    ASSERT_EQ(log.entries.size(), 1u);
    EXPECT_EQ(log.ignored_lines, 0u);
    const auto& entry = log.entries[0];
    EXPECT_EQ(entry.recipient, "t4a@script.test");
    EXPECT_EQ(entry.offset, 259);
    EXPECT_EQ(entry.status, "4.2.0");
    EXPECT_EQ(entry.action, "delayed");
    EXPECT_EQ(entry.diagnostic_type, "smtp");
    EXPECT_EQ(entry.remote_mta, "127.0.0.1");
    EXPECT_EQ(parse_recipient_log(fixture("deferlog.07A05A76068"), Queue::defer).entries.size(), 2u);
    EXPECT_EQ(entry_of("deferlog.09EBAA760DC").notify, 6u);
}

TEST(RecipientLog, WritesWhatPostfixWrote)
{
    for (const auto* name : {"deferlog.A12B6A76072", "deferlog.09EBAA760DC", "deferlog.07A05A76068"}) {
        std::string text;
        for (const auto& entry : parse_recipient_log(fixture(name), Queue::defer).entries)
            append_recipient_log_text(text, entry);
        EXPECT_EQ(text, fixture(name));
    }
}

TEST(RecipientLog, PeerBytesCannotMakeAnEntry)
{
    RecipientLogEntry entry;
    entry.recipient = "a@b";
    entry.reason = "said\n\nrecipient=evil@x\x01";
    entry.diagnostic_type = "smtp";
    entry.diagnostic_text = "550 \r\n\r\nx";
    std::string text;
    append_recipient_log_text(text, entry);
    const auto log = parse_recipient_log(text, Queue::bounce);
    ASSERT_EQ(log.entries.size(), 1u);
    EXPECT_EQ(log.entries[0].reason, "said??recipient=evil@x?");
    EXPECT_EQ(log.entries[0].status, "5.0.0");
    EXPECT_EQ(log.entries[0].action, "failed");
}

TEST(RecipientLog, DefaultsDependOnTheLog)
{
    const std::string text = "\nrecipient=<>\nnonsense\nfuture=1\n\n<old@form>: no reason: at all\n\n";
    const auto log = parse_recipient_log(text, Queue::defer);
    ASSERT_EQ(log.entries.size(), 2u);
    EXPECT_EQ(log.entries[0].recipient, "");
    EXPECT_EQ(log.entries[0].status, "4.0.0");
    EXPECT_EQ(log.entries[0].action, "delayed");
    EXPECT_EQ(log.entries[1].recipient, "old@form");
    EXPECT_EQ(log.entries[1].reason, "no reason: at all");
    EXPECT_EQ(log.ignored_lines, 2u);
}

TEST(RecipientLog, OldFormSaysNothingBesideFields)
{
    const auto log = parse_recipient_log("\n<x>: y>: z\nrecipient=x>: y\n\n", Queue::defer);
    ASSERT_EQ(log.entries.size(), 1u);
    EXPECT_EQ(log.entries[0].recipient, "x>: y");
    EXPECT_EQ(log.entries[0].reason, "");
}

TEST(RecipientLog, EntriesAreBounded)
{
    std::string text;
    for (int i = 0; i < 10; ++i)
        text += "recipient=a@b\n\n";
    RecipientLogLimits limits;
    limits.max_entries = 3;
    const auto log = parse_recipient_log(text, Queue::defer, limits);
    EXPECT_EQ(log.entries.size(), 3u);
    EXPECT_TRUE(log.truncated);
}

class RecipientLogFile : public SpoolTest
{
protected:
    const QueueId id_ = id_of("25346A76AFF");
};

TEST_F(RecipientLogFile, IsAppendedReadAndRemoved)
{
    const auto entry = entry_of("deferlog.A12B6A76072");
    EXPECT_FALSE(*has_recipient_log(spool_, Queue::defer, id_));
    EXPECT_EQ(read_recipient_log(spool_, Queue::defer, id_).error().fault, Fault::not_found);
    ASSERT_TRUE(append_recipient_log(spool_, Queue::defer, id_, {&entry, 1}));
    ASSERT_TRUE(append_recipient_log(spool_, Queue::defer, id_, {&entry, 1}));
    EXPECT_TRUE(*has_recipient_log(spool_, Queue::defer, id_));
    EXPECT_EQ(mode_of("defer/2/25346A76AFF"), 0600u);
    EXPECT_EQ(bytes_of(path("defer/2/25346A76AFF")),
              fixture("deferlog.A12B6A76072") + fixture("deferlog.A12B6A76072"));
    const auto log = read_recipient_log(spool_, Queue::defer, id_);
    ASSERT_EQ(log->entries.size(), 2u);
    EXPECT_EQ(log->entries[1], entry);
    ASSERT_TRUE(remove_recipient_logs(spool_, id_));
    ASSERT_TRUE(remove_recipient_logs(spool_, id_));
    EXPECT_FALSE(exists("defer/2/25346A76AFF"));
}

TEST_F(RecipientLogFile, IsCutAtTheByteLimitBetweenEntries)
{
    const auto entry = entry_of("deferlog.A12B6A76072");
    const std::vector<RecipientLogEntry> many(100, entry);
    ASSERT_TRUE(append_recipient_log(spool_, Queue::bounce, id_, many));
    RecipientLogLimits limits;
    limits.max_bytes = 20000;
    const auto log = read_recipient_log(spool_, Queue::bounce, id_, limits);
    EXPECT_TRUE(log->truncated);
    EXPECT_GT(log->entries.size(), 20u);
    EXPECT_EQ(log->entries.back(), entry);
}

} // namespace bulkhead
