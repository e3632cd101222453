#include "spool/new_file.h"

#include "spool/lock.h"
#include "spool/recipient_log.h"
#include "spool/scan.h"
#include "spool/store.h"
#include "support.h"

#include <sys/resource.h>

#include <csignal>
#include <set>
#include <thread>

namespace bulkhead
{

class NewFile : public SpoolTest
{
protected:
    std::size_t files_in(Queue queue)
    {
        ScanOptions options;
        options.foreign_names = true;
        return QueueScan::open(spool_, queue, options)->slice(1000)->size();
    }
};

TEST_F(NewFile, IsLockedAndUnfinishedUntilCommitted)
{
    auto file = NewQueueFile::create(spool_, Queue::incoming);
    ASSERT_TRUE(file) << file.error().context;
    const QueueId id = file->id();
    EXPECT_EQ(mode_of("incoming/" + id.text()), 0600u);
    EXPECT_EQ(file_info(spool_, spool_.path_of(Queue::incoming, id))->inode, id.inode());
    const auto reader = open_queue_file(spool_, Queue::incoming, id);
    EXPECT_FALSE(reader->info.is_ready());
    EXPECT_FALSE(*try_lock(reader->fd.get(), FileLock::exclusive));

    EXPECT_TRUE(file->append("hello"));
    EXPECT_TRUE(file->patch(1, "u"));
    EXPECT_EQ(*std::move(*file).commit(), id);
    EXPECT_EQ(mode_of("incoming/" + id.text()), 0700u);
    EXPECT_TRUE(*try_lock(reader->fd.get(), FileLock::exclusive));
    EXPECT_EQ(bytes_of(path("incoming/" + id.text())), "hullo");
}

TEST_F(NewFile, LeavesNothingBehindUnlessCommitted)
{
    {
        auto file = NewQueueFile::create(spool_, Queue::incoming);
        ASSERT_TRUE(file && file->append("half a message"));
        auto moved = std::move(*file);
        EXPECT_EQ(files_in(Queue::incoming), 1u);
    }
    EXPECT_EQ(files_in(Queue::incoming), 0u);
}

TEST_F(NewFile, GoesOnHoldBeforeItIsComplete)
{
    auto file = NewQueueFile::create(spool_, Queue::incoming);
    ASSERT_TRUE(file->put_on_hold());
    EXPECT_EQ(files_in(Queue::incoming), 0u);
    const auto id = std::move(*file).commit();
    EXPECT_EQ(mode_of("hold/" + id->text()), 0700u);
}

TEST_F(NewFile, SubmissionIsReadableByAll)
{
    auto file = NewQueueFile::create(spool_, Queue::maildrop);
    const auto id = std::move(*file).commit();
    EXPECT_EQ(mode_of("maildrop/" + id->text()), 0744u);
}

TEST_F(NewFile, LongIdOnDemand)
{
    NewFileOptions options;
    options.long_id = true;
    auto file = NewQueueFile::create(spool_, Queue::deferred, options);
    ASSERT_TRUE(file) << file.error().context;
    EXPECT_TRUE(file->id().is_long());
    const std::string hash = file->id().hash_characters(1);
    EXPECT_TRUE(exists("deferred/" + hash + "/" + file->id().text()));
}

TEST_F(NewFile, MissingQueueIsAnErrorThatNamesIt)
{
    std::filesystem::remove(path("incoming"));
    const auto file = NewQueueFile::create(spool_, Queue::incoming);
    ASSERT_FALSE(file);
    EXPECT_NE(file.error().context.find("incoming/"), std::string::npos);
}

// Stands in for a full disk: the kernel refuses to let files grow.
class FileSizeLimit
{
public:
    explicit FileSizeLimit(rlim_t bytes)
    {
        ::signal(SIGXFSZ, SIG_IGN);
        ::getrlimit(RLIMIT_FSIZE, &before_);
        const rlimit limit{bytes, before_.rlim_max};
        ::setrlimit(RLIMIT_FSIZE, &limit);
    }
    ~FileSizeLimit() { ::setrlimit(RLIMIT_FSIZE, &before_); }

private:
    rlimit before_{};
};

TEST_F(NewFile, FailedWriteLeavesNoFileAndTellsTheErrno)
{
    DirectoryStore store(spool_);
    const FileSizeLimit limit(1000);
    const std::string bytes(5000, 'x');
    const std::string_view pieces[] = {bytes};
    const auto id = store.put(Queue::incoming, pieces);
    ASSERT_FALSE(id);
    EXPECT_EQ(id.error().fault, Fault::io);
    EXPECT_EQ(id.error().number, EFBIG);
    EXPECT_EQ(files_in(Queue::incoming), 0u);
}

TEST_F(NewFile, FailedLogAppendIsCutOffAgain)
{
    RecipientLogEntry entry;
    entry.recipient = "a@b";
    entry.reason = "short";
    const QueueId id = id_of("25346A76AFF");
    ASSERT_TRUE(append_recipient_log(spool_, Queue::bounce, id, {&entry, 1}));
    const std::string before = bytes_of(path("bounce/25346A76AFF"));
    const FileSizeLimit limit(1000);
    entry.reason = std::string(5000, 'x');
    EXPECT_FALSE(append_recipient_log(spool_, Queue::bounce, id, {&entry, 1}));
    EXPECT_EQ(bytes_of(path("bounce/25346A76AFF")), before);
}

TEST_F(NewFile, ManyThreadsGetDifferentIds)
{
    DirectoryStore store(spool_);
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < 20; ++i) {
                auto file = store.reserve(Queue::incoming);
                ASSERT_TRUE(file) << file.error().context;
                const std::string text = file->id().text();
                const std::string_view pieces[] = {"x", text, ""};
                ASSERT_TRUE(Store::finish(std::move(*file), pieces));
            }
        });
    threads.clear();
    auto scan = QueueScan::open(spool_, Queue::incoming);
    const auto entries = scan->slice(1000);
    EXPECT_EQ(entries->size(), 160u);
    for (const QueueEntry& entry : *entries)
        EXPECT_EQ(bytes_of(path(entry.path)), "x" + entry.id.text());
}

TEST_F(NewFile, ManyPiecesAreOneFile)
{
    std::vector<std::string_view> pieces(200, "abc");
    pieces[3] = "";
    DirectoryStore store(spool_);
    const auto id = store.put(Queue::incoming, pieces);
    ASSERT_TRUE(id);
    EXPECT_EQ(bytes_of(path("incoming/" + id->text())).size(), 199u * 3);
    EXPECT_TRUE(store.open(Queue::incoming, *id, Access::read_write));
    EXPECT_TRUE(store.remove(Queue::incoming, *id));
    EXPECT_EQ(store.remove(Queue::incoming, *id).error().fault, Fault::not_found);
}

TEST_F(NewFile, WhatIsWrittenCanBeRead)
{
    DirectoryStore store(spool_);
    const std::string bytes = message("sender@x", {"r@y"}, {"Subject: x", "", std::string(5000, 'y')});
    const std::string_view pieces[] = {bytes};
    const auto id = store.put(Queue::incoming, pieces);
    const auto file = store.open(Queue::incoming, *id, Access::read);
    ASSERT_TRUE(file);
    EXPECT_TRUE(file->info.is_ready());
    const auto envelope = read_envelope(file->fd.get());
    ASSERT_TRUE(envelope) << envelope.error().context;
    EXPECT_EQ(envelope->sender, "sender@x");
}

} // namespace bulkhead
