#include "queue_listing.h"
#include "spool_report.h"
#include "spool_snapshot.h"

#include "../spool/support.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cstdlib>

namespace bulkhead
{

using testing::HasSubstr;

// The fixtures in a spool, read as commands read them.  The golden files are what the
// commands of Postfix 3.7 print for the same spool.
class Listing : public SpoolTest
{
protected:
    Listing()
    {
        ::setenv("TZ", "UTC", 1);
        write("maildrop/AD607A76053", fixture("maildrop-verp-dsn.AD607A76053"), 0744);
        for (const auto* const name :
             {"deferred-4rcpt-3done.A12B6A76072", "deferred-milter-edited.07A05A76068",
              "deferred-verp-dsn-from-sendmail.09EBAA760DC"}) {
            const std::string text = name;
            const std::string id = text.substr(text.find('.') + 1);
            write("deferred/" + id.substr(0, 1) + "/" + id, fixture(text));
            write("defer/" + id.substr(0, 1) + "/" + id, fixture("deferlog." + id), 0600);
        }
        write("hold/38690A76075", fixture("hold-sasl-filter-redirect-from-smtpd.38690A76075"), 0710);
        write("incoming/unfinished", "x", 0600);
    }

    // In the order of the golden files: directories have their own.
    std::vector<SnapshotMessage> messages() const
    {
        std::vector<SnapshotMessage> found;
        for (const Queue queue : message_queues)
            EXPECT_TRUE(read_queue(spool_, queue, true,
                                   [&](SnapshotMessage message) { found.push_back(std::move(message)); }));
        static constexpr std::array<std::string_view, 5> order{"AD607A76053", "A12B6A76072", "07A05A76068",
                                                               "09EBAA760DC", "38690A76075"};
        const auto rank = [](const SnapshotMessage& message) {
            return std::find(order.begin(), order.end(), message.shown.queue_id) - order.begin();
        };
        std::sort(found.begin(), found.end(),
                  [&](const SnapshotMessage& a, const SnapshotMessage& b) { return rank(a) < rank(b); });
        return found;
    }

    std::string table(bool long_ids) const
    {
        MailqTable table(long_ids, "MAILER-DAEMON");
        std::string text;
        for (const SnapshotMessage& message : messages())
            text += table.add(message.shown);
        return text + table.end();
    }
};

TEST_F(Listing, IsTheTableOfMailq)
{
    EXPECT_EQ(table(false), bytes_of(TEST_DATA "/commands/mailq-short.txt"));
}

TEST_F(Listing, HasWiderColumnsForLongIds)
{
    EXPECT_EQ(table(true), bytes_of(TEST_DATA "/commands/mailq-long.txt"));
}

TEST_F(Listing, IsOneJsonObjectPerLine)
{
    std::string lines;
    for (const SnapshotMessage& message : messages())
        lines += json_line(message.shown, "MAILER-DAEMON");
    EXPECT_EQ(lines, bytes_of(TEST_DATA "/commands/postqueue.json"));
}

TEST_F(Listing, FindsTheMessageId)
{
    EXPECT_EQ(messages()[1].shown.message_id, "<20261122072444.A12B6A76072@mx.fmap.test>");
}

TEST_F(Listing, CountsOnlyFinishedFiles)
{
    EXPECT_EQ(*count_queue(spool_, Queue::incoming), 0u);
    EXPECT_EQ(*count_queue(spool_, Queue::deferred), 3u);
}

TEST_F(Listing, SaysWhatIsNotReadable)
{
    write("corrupt/BAD", "junk", 0400);
    const auto all = messages();
    const auto bad =
        std::find_if(all.begin(), all.end(), [](const auto& m) { return m.shown.queue_id == "BAD"; });
    ASSERT_NE(bad, all.end());
    EXPECT_FALSE(bad->problem.empty());
}

TEST_F(Listing, ReportsNextAttemptsOfDeferredMailOnly)
{
    const EnvironmentReport report{"projets", "/etc/x", "/var/x", {}, messages()};
    const std::string json = report_json(std::span(&report, 1));
    EXPECT_THAT(json, HasSubstr(R"("next_attempt")"));
    const std::string text = report_text(std::span(&report, 1), 0);
    EXPECT_THAT(text, HasSubstr("next attempt: "));
    EXPECT_THAT(text, HasSubstr("to=<t4a@script.test>  host 127.0.0.1[127.0.0.1] said: 450"));
}

TEST(MailqTable, SaysThatTheQueueIsEmpty)
{
    EXPECT_EQ(MailqTable(false, "MAILER-DAEMON").end(), "Mail queue is empty\n");
}

TEST(MailqTable, MarksActiveAndExpiringMessages)
{
    MailqTable table(false, "MAILER-DAEMON");
    ipc::ShownMessage message;
    message.queue_name = "active";
    message.queue_id = "AB12C";
    message.forced_expire = true;
    const std::string text = table.add(message);
    EXPECT_THAT(text, HasSubstr("\nAB12C*#           0 "));
    EXPECT_THAT(text, HasSubstr(" MAILER-DAEMON\n"));
    EXPECT_THAT(table.end(), HasSubstr("in 1 Request.\n"));
}

TEST(MailqTable, SaysThatALaterReasonIsMissing)
{
    MailqTable table(false, "MAILER-DAEMON");
    ipc::ShownMessage message;
    message.recipients = {{"a@x.test", "slow"}, {"b@x.test", ""}};
    EXPECT_THAT(table.add(message), HasSubstr("(reason unavailable)\n"));
}

TEST(JsonString, EscapesWhatJsonNeeds)
{
    EXPECT_EQ(json_string("a\"b\\c\n\x01"), R"("a\"b\\c\n\u0001")");
}

TEST(JsonString, ReplacesBytesThatAreNoUtf8)
{
    EXPECT_EQ(json_string("a\xff"), "\"a?\"");
    EXPECT_EQ(json_string("\xc3\xa9"), "\"\xc3\xa9\"");
}

TEST(ReportJson, SurvivesBytesThatAreNoUtf8)
{
    EnvironmentReport report{"x", "/x", "/x", {}, {}};
    report.messages.emplace_back().shown.sender = "a\xff@x.test";
    EXPECT_THAT(report_json(std::span(&report, 1)), HasSubstr("@x.test"));
}

} // namespace bulkhead
