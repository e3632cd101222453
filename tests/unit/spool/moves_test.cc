#include "spool/moves.h"

#include "spool/lock.h"
#include "spool/marks.h"
#include "spool/rehash.h"
#include "spool/scan.h"
#include "support.h"

#include <fcntl.h>

#include <algorithm>

namespace bulkhead
{

class Moves : public SpoolTest
{
};

TEST_F(Moves, DeferSetsTheTimeAndMakesTheHashDirectory)
{
    const QueueId id = id_of("25346A76AFF");
    write("active/25346A76AFF", "x");
    ASSERT_TRUE(defer_queue_file(spool_, Queue::active, id, 1900000000));
    EXPECT_EQ(file_info(spool_, "deferred/2/25346A76AFF")->modified, 1900000000);
    EXPECT_EQ(mode_of("deferred/2"), 0700u);
    EXPECT_FALSE(exists("active/25346A76AFF"));
}

TEST_F(Moves, NeverReplaceAFile)
{
    write("incoming/AAAAAA", "new");
    write("active/AAAAAA", "old");
    const auto moved = move_queue_file(spool_, Queue::incoming, Queue::active, id_of("AAAAAA"));
    ASSERT_FALSE(moved);
    EXPECT_EQ(moved.error().fault, Fault::refused);
    EXPECT_EQ(bytes_of(path("active/AAAAAA")), "old");
}

TEST_F(Moves, GoneFilesAreNotFound)
{
    EXPECT_EQ(move_queue_file(spool_, Queue::incoming, Queue::active, id_of("A")).error().fault,
              Fault::not_found);
    EXPECT_EQ(move_queue_file(spool_, Queue::active, Queue::deferred, id_of("A")).error().fault,
              Fault::not_found);
    EXPECT_EQ(remove_queue_file(spool_, Queue::active, id_of("A")).error().fault, Fault::not_found);
    EXPECT_EQ(open_queue_file(spool_, Queue::active, id_of("A")).error().fault, Fault::not_found);
}

TEST_F(Moves, LocateFindsAFileAtAnyDepth)
{
    write("hold/2/5/25346A76AFF", "x");
    const auto found = locate(spool_, message_queues, id_of("25346A76AFF"));
    ASSERT_TRUE(found && *found);
    EXPECT_EQ((*found)->path, "hold/2/5/25346A76AFF");
    EXPECT_EQ((*found)->queue, Queue::hold);
    EXPECT_FALSE(*locate(spool_, message_queues, id_of("00000B")));
}

TEST_F(Moves, RehashingPutsFilesWhereTheirIdsBelong)
{
    write("deferred/2/5/25346A76AFF", "two levels");
    write("deferred/25346A76B00", "flat");
    write("deferred/2/25346A76B01", "right");
    write("deferred/2/25346A76B02#FIX", "marked");
    write("deferred/2/note.txt", "foreign");
    const auto complain = [](const Error& error) { ADD_FAILURE() << error.context; };
    EXPECT_EQ(*rehash_queue(spool_, Queue::deferred, complain), 2u);
    EXPECT_TRUE(exists("deferred/2/25346A76AFF"));
    EXPECT_TRUE(exists("deferred/2/25346A76B00"));
    EXPECT_TRUE(exists("deferred/2/25346A76B01"));
    EXPECT_TRUE(exists("deferred/2/note.txt"));
    EXPECT_EQ(*rehash_queue(spool_, Queue::deferred, complain, "#FIX"), 1u);
    EXPECT_TRUE(exists("deferred/2/25346A76B02"));
}

TEST_F(Moves, RehashingReplacesNothing)
{
    write("deferred/2/5/25346A76AFF", "stray");
    write("deferred/2/25346A76AFF", "right");
    int complaints = 0;
    EXPECT_EQ(*rehash_queue(spool_, Queue::deferred, [&](const Error&) { ++complaints; }), 0u);
    EXPECT_EQ(complaints, 1);
    EXPECT_EQ(bytes_of(path("deferred/2/25346A76AFF")), "right");
}

TEST_F(Moves, SymbolicLinksAndPipesAreNotOpened)
{
    write("incoming/AAAAAA", "x");
    std::filesystem::create_symlink("AAAAAA", path("incoming/BBBBBB"));
    ::mkfifo(path("incoming/CCCCCC").c_str(), 0700);
    EXPECT_FALSE(open_queue_file(spool_, Queue::incoming, id_of("BBBBBB")));
    EXPECT_FALSE(open_queue_file(spool_, Queue::incoming, id_of("CCCCCC")));
}

// ---- Marks -------------------------------------------------------------------

TEST_F(Moves, MarksOneByteOfTheRecipient)
{
    const std::string before = message("a@b", {"r@s", "t@u"}, {"Subject: x"});
    write("active/AAAAAA", before);
    const auto file = open_queue_file(spool_, Queue::active, id_of("AAAAAA"), Access::read_write);
    const int fd = file->fd.get();
    const auto recipients = read_envelope(fd)->recipients;
    ASSERT_TRUE(mark_recipient_done(fd, recipients.at(1).offset));
    ASSERT_TRUE(mark_recipient_done(fd, recipients.at(1).offset));
    ASSERT_TRUE(mark_recipient_done(fd, -1));
    EXPECT_FALSE(mark_recipient_done(fd, recipients.at(1).offset + 1));
    EXPECT_FALSE(mark_recipient_done(fd, 1 << 20));
    std::string expected = before;
    expected[static_cast<std::size_t>(recipients[1].offset)] = 'D';
    EXPECT_EQ(bytes_of(path("active/AAAAAA")), expected);
    EXPECT_EQ(read_envelope(fd)->recipients_done, 1u);
}

TEST_F(Moves, ClearsTheWarnTimeAndKillsTheTraceRequest)
{
    std::string file = fixture("deferred-4rcpt-3done.A12B6A76072");
    file.replace(file.find("A\x15rewrite_context=local"), 23, "A\x15trace_flags=000001024");
    write("active/AAAAAA", file);
    const auto open = open_queue_file(spool_, Queue::active, id_of("AAAAAA"), Access::read_write);
    const int fd = open->fd.get();
    const auto before = read_envelope(fd);
    ASSERT_TRUE(before) << before.error().context;
    EXPECT_EQ(before->trace_flags, trace_flag::record);
    ASSERT_TRUE(clear_warn_time(fd, before->warn_offset));
    ASSERT_TRUE(kill_attribute(fd, before->trace_flags_offset));
    EXPECT_FALSE(clear_warn_time(fd, before->trace_flags_offset));
    const auto after = read_envelope(fd);
    EXPECT_EQ(after->warn_time, -1);
    EXPECT_EQ(after->trace_flags, 0u);
    EXPECT_EQ(bytes_of(path("active/AAAAAA")).size(), file.size());
}

TEST_F(Moves, ModeBitsAreState)
{
    write("active/AAAAAA", "x");
    const auto open = open_queue_file(spool_, Queue::active, id_of("AAAAAA"), Access::read_write);
    const int fd = open->fd.get();
    const auto info = [&] { return *file_info(spool_, "active/AAAAAA"); };
    EXPECT_TRUE(info().is_ready() && !info().is_unthrottle_wanted());
    ASSERT_TRUE(request_unthrottle(fd) && force_expire(fd));
    EXPECT_TRUE(info().is_ready() && info().is_unthrottle_wanted() && info().is_expire_forced());
    ASSERT_TRUE(clear_unthrottle(fd));
    EXPECT_EQ(mode_of("active/AAAAAA"), 0710u);
    ASSERT_TRUE(mark_corrupt(fd));
    EXPECT_TRUE(info().is_marked_corrupt() && !info().is_ready());
}

TEST_F(Moves, SharedLocksKeepTheExclusiveOneOut)
{
    write("active/AAAAAA", "x");
    const auto one = open_queue_file(spool_, Queue::active, id_of("AAAAAA"));
    const auto two = open_queue_file(spool_, Queue::active, id_of("AAAAAA"));
    EXPECT_TRUE(*try_lock(one->fd.get(), FileLock::shared));
    EXPECT_TRUE(*try_lock(two->fd.get(), FileLock::shared));
    EXPECT_FALSE(*try_lock(two->fd.get(), FileLock::exclusive));
    EXPECT_TRUE(unlock(one->fd.get()));
    EXPECT_TRUE(*try_lock(two->fd.get(), FileLock::exclusive));
}

// ---- Scans -------------------------------------------------------------------

TEST_F(Moves, ScanFindsFilesAtEveryDepthInSlices)
{
    EXPECT_TRUE(*is_empty(spool_, Queue::deferred));
    write("deferred/AAAAAA", "x");
    write("deferred/B/BBBBBB", "x");
    write("deferred/C/D/CDCDCD", "x", 0600);
    write("deferred/C/12345.678", "x");
    write("deferred/C/AAAAAA#FIX", "x");
    auto scan = QueueScan::open(spool_, Queue::deferred);
    std::vector<std::string> found;
    for (auto slice = scan->slice(2); !slice->empty(); slice = scan->slice(2))
        for (const QueueEntry& entry : *slice)
            found.push_back(entry.path + (entry.is_unfinished() ? " unfinished" : ""));
    std::ranges::sort(found);
    EXPECT_EQ(found, (std::vector<std::string>{"deferred/AAAAAA", "deferred/B/BBBBBB",
                                               "deferred/C/D/CDCDCD unfinished"}));
    EXPECT_FALSE(*is_empty(spool_, Queue::deferred));

    ScanOptions options;
    options.foreign_names = true;
    options.with_info = false;
    EXPECT_EQ(QueueScan::open(spool_, Queue::deferred, options)->slice(100)->size(), 5u);
}

TEST_F(Moves, ScanPassesOverWhatVanishes)
{
    for (int i = 0; i < 100; ++i)
        write("incoming/A" + std::to_string(1000 + i), "x");
    auto scan = QueueScan::open(spool_, Queue::incoming);
    ASSERT_TRUE(*scan->next());
    for (int i = 0; i < 100; ++i)
        std::filesystem::remove(path("incoming/A" + std::to_string(1000 + i)));
    EXPECT_TRUE(scan->slice(1000)->empty());
}

TEST_F(Moves, ScanOfAMissingQueueSaysSo)
{
    std::filesystem::remove(path("saved"));
    EXPECT_EQ(QueueScan::open(spool_, Queue::saved).error().fault, Fault::not_found);
}

} // namespace bulkhead
