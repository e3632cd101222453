#include "queue_actions.h"
#include "spool_follow.h"

#include "spool/recipient_log.h"

#include "../spool/support.h"

#include <gmock/gmock.h>
#include <utime.h>

namespace bulkhead
{

using testing::ElementsAre;
using testing::IsEmpty;

class QueueActionsTest : public SpoolTest
{
protected:
    QueueActions actions(QueueSet queues = {})
    {
        return QueueActions(spool_, queues,
                            [this](Severity, std::string_view text) { said_.emplace_back(text); });
    }
    void put(const std::string& relative, mode_t mode = 0700)
    {
        write(relative, message("s@x.test", {"r@x.test"}, {"Subject: x"}), mode);
    }
    std::uint64_t inode_of(const std::string& relative) const { return file_info(spool_, relative)->inode; }

    std::vector<std::string> said_;
};

TEST_F(QueueActionsTest, RemovesAMessageAndItsLogs)
{
    put("deferred/A/AB12C1");
    write("defer/A/AB12C1", "x", 0600);
    write("bounce/AB12C1", "x", 0600);
    auto work = actions();
    work.apply(Action::remove, id_of("AB12C1"));
    EXPECT_FALSE(exists("deferred/A/AB12C1"));
    EXPECT_FALSE(exists("defer/A/AB12C1"));
    EXPECT_FALSE(exists("bounce/AB12C1"));
    EXPECT_THAT(said_, ElementsAre("AB12C1: removed"));
    EXPECT_EQ(work.counts().removed, 1u);
}

TEST_F(QueueActionsTest, LeavesTheLogsOfAMessageThatIsElsewhere)
{
    put("corrupt/AB12C1");
    write("defer/A/AB12C1", "x", 0600);
    auto work = actions();
    work.apply(Action::remove, id_of("AB12C1"));
    EXPECT_TRUE(exists("defer/A/AB12C1"));
    EXPECT_THAT(said_, IsEmpty());
}

TEST_F(QueueActionsTest, RemovesAllOfTheNamedQueueOnly)
{
    put("deferred/A/AB12C1");
    put("hold/AB12C2");
    auto work = actions({Queue::hold});
    work.apply_to_all(Action::remove);
    EXPECT_TRUE(exists("deferred/A/AB12C1"));
    EXPECT_FALSE(exists("hold/AB12C2"));
    EXPECT_THAT(said_, IsEmpty());
}

TEST_F(QueueActionsTest, HoldsAndReleases)
{
    put("active/AB12C1");
    auto work = actions();
    work.apply(Action::hold, id_of("AB12C1"));
    EXPECT_TRUE(exists("hold/AB12C1"));
    work.apply(Action::release, id_of("AB12C1"));
    EXPECT_TRUE(exists("deferred/A/AB12C1"));
    EXPECT_THAT(said_, ElementsAre("AB12C1: placed on hold", "AB12C1: released from hold"));
}

TEST_F(QueueActionsTest, DoesNotHoldASubmission)
{
    put("maildrop/AB12C1", 0744);
    auto work = actions();
    work.apply_to_all(Action::hold);
    EXPECT_TRUE(exists("maildrop/AB12C1"));
    EXPECT_EQ(work.counts().held, 0u);
}

TEST_F(QueueActionsTest, RequeuesToMaildropAsNew)
{
    put("deferred/A/AB12C1");
    const utimbuf old{100, 100};
    ::utime(path("deferred/A/AB12C1").c_str(), &old);
    auto work = actions();
    work.apply(Action::requeue, id_of("AB12C1"));
    ASSERT_TRUE(exists("maildrop/AB12C1"));
    EXPECT_GT(file_info(spool_, "maildrop/AB12C1")->modified, 100);
}

TEST_F(QueueActionsTest, ExpiresOnce)
{
    put("deferred/A/AB12C1");
    auto work = actions();
    work.apply(Action::expire, id_of("AB12C1"));
    work.apply(Action::expire, id_of("AB12C1"));
    EXPECT_EQ(mode_of("deferred/A/AB12C1"), 0710u);
    EXPECT_EQ(work.counts().expired, 1u);
}

TEST_F(QueueActionsTest, ExpiresAndReleases)
{
    put("hold/AB12C1");
    auto work = actions();
    work.apply(Action::expire_and_release, id_of("AB12C1"));
    EXPECT_EQ(mode_of("deferred/A/AB12C1"), 0710u);
    EXPECT_EQ(work.counts().released, 1u);
}

TEST_F(QueueActionsTest, FindsAMessageAtAnotherHashDepth)
{
    put("deferred/A/B/AB12C1");
    auto work = actions();
    work.apply(Action::hold, id_of("AB12C1"));
    EXPECT_TRUE(exists("hold/AB12C1"));
}

TEST_F(QueueActionsTest, PurgesOnlyOldUnfinishedFiles)
{
    put("incoming/AB12C1", 0600);
    put("incoming/AB12C2", 0700);
    put("maildrop/123.456", 0600);
    const utimbuf old{100, 100};
    for (const auto* const name : {"incoming/AB12C1", "incoming/AB12C2", "maildrop/123.456"})
        ::utime(path(name).c_str(), &old);
    put("incoming/AB12C3", 0600);
    EXPECT_EQ(*purge_unfinished(spool_, {Queue::incoming, Queue::maildrop}, 7 * 86400), 2u);
    EXPECT_TRUE(exists("incoming/AB12C2"));
    EXPECT_TRUE(exists("incoming/AB12C3"));
}

TEST_F(QueueActionsTest, RepairsNamesAfterACopyWithTheirLogs)
{
    put("deferred/A/AB12C1");
    write("defer/A/AB12C1", "log", 0600);
    const QueueId wanted = QueueId::make_short({0, 0xAB12C}, inode_of("deferred/A/AB12C1"));
    EXPECT_EQ(*repair_names(spool_, {Queue::deferred}, false, [](Severity, std::string_view) {}), 1u);
    EXPECT_TRUE(exists("deferred/A/" + wanted.text()));
    EXPECT_EQ(bytes_of(path("defer/A/" + wanted.text())), "log");
    EXPECT_EQ(*repair_names(spool_, {Queue::deferred}, false, [](Severity, std::string_view) {}), 0u);
}

TEST_F(QueueActionsTest, RepairsNamesThatAreEachOthers)
{
    put("hold/first");
    put("hold/second");
    const QueueId first = QueueId::make_short({0, 0xAB12C}, inode_of("hold/first"));
    const QueueId second = QueueId::make_short({0, 0xAB12C}, inode_of("hold/second"));
    std::filesystem::rename(path("hold/first"), path("hold/swap"));
    std::filesystem::rename(path("hold/second"), path("hold/" + first.text()));
    std::filesystem::rename(path("hold/swap"), path("hold/" + second.text()));
    EXPECT_EQ(*repair_names(spool_, {Queue::hold}, false, [](Severity, std::string_view) {}), 2u);
    EXPECT_EQ(inode_of("hold/" + first.text()), first.inode());
    EXPECT_EQ(inode_of("hold/" + second.text()), second.inode());
}

TEST_F(QueueActionsTest, FinishesAnInterruptedRepair)
{
    put("deferred/A/AB12C1#FIX");
    (void)*repair_names(spool_, {Queue::deferred}, false, [](Severity, std::string_view) {});
    EXPECT_FALSE(exists("deferred/A/AB12C1#FIX"));
}

TEST_F(QueueActionsTest, MovesFilesToTheirHashDirectory)
{
    put("deferred/new");
    const QueueId id = QueueId::make_short({0, 0xAB12C}, inode_of("deferred/new"));
    std::filesystem::rename(path("deferred/new"), path("deferred/" + id.text()));
    EXPECT_EQ(*repair_names(spool_, {Queue::deferred}, false, [](Severity, std::string_view) {}), 0u);
    EXPECT_TRUE(exists("deferred/A/" + id.text()));
}

TEST(Follow, KnowsLinesOfAMessage)
{
    EXPECT_TRUE(mentions("Nov 22 mx p/smtp[1]: AB12C1: to=<x>", "AB12C1"));
    EXPECT_TRUE(mentions("250 2.0.0 Ok: queued as AB12C1", "AB12C1"));
    EXPECT_FALSE(mentions("p/smtp[1]: AB12C12: to=<x>", "AB12C1"));
    EXPECT_EQ(queue_id_of_line("Nov 22 mx p/cleanup[1]: AB12C1: message-id=<x@y>"), "AB12C1");
    EXPECT_EQ(queue_id_of_line("Nov 22 mx p/smtpd[1]: connect from x"), "");
}

} // namespace bulkhead
