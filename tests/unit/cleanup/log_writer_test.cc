// The power fails at any moment of a load: everything that was acknowledged is found again,
// whatever of the unsynced writes has reached the disk.
#include "log_writer.h"

#include "async/loop.h"
#include "async/scope.h"
#include "async/wait.h"
#include "spool/io.h"
#include "spool/queue_file.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <random>
#include <set>

namespace bulkhead
{

namespace
{

constexpr std::size_t sector = 512;

// What happened, in order.  Each file is known by its descriptor.
struct Event {
    enum class Kind { write, sync, acknowledged, settled } kind;
    int fd = -1;
    std::int64_t offset = 0;
    std::string bytes;
    std::string id; // of a message
};

class RecordingDisk final : public LogDisk
{
public:
    Result<> write(int fd, std::span<const std::string_view> pieces, std::int64_t offset) override
    {
        std::string bytes;
        for (const std::string_view piece : pieces)
            bytes += piece;
        if (bytes.size() < LogWriter::segment_bytes / 8) // not the zeros of a new segment
            events.push_back({Event::Kind::write, fd, offset, bytes, {}});
        return real_log_disk().write(fd, pieces, offset);
    }
    Result<> sync(int fd) override
    {
        if (fail)
            return Error{Fault::io, "fdatasync", EIO};
        events.push_back({Event::Kind::sync, fd, 0, {}, {}});
        return {};
    }

    std::vector<Event> events;
    bool fail = false;
};

class LogWriterTest : public testing::Test
{
protected:
    LogWriterTest() : spool_(open()) {}
    ~LogWriterTest() override { std::filesystem::remove_all(root_); }

    Spool open()
    {
        std::string pattern = testing::TempDir() + "bulkhead-log-XXXXXX";
        root_ = ::mkdtemp(pattern.data());
        SpoolLayout layout;
        layout.root = root_;
        const auto made = ensure_spool(layout, {::geteuid(), ::getegid(), ::getegid()});
        EXPECT_TRUE(made);
        return *Spool::open(layout);
    }

    // Sends messages one after another, as one session does.
    static Task<> session(LogWriterTest* self, LogWriter* log, int count, std::size_t size)
    {
        for (int i = 0; i < count; ++i) {
            const auto name = log->borrow();
            if (!name)
                break;
            const QueueId id = QueueId::make_short(WallTime::now(), name->inode);
            const std::string image(size + static_cast<std::size_t>(i % 7) * 100,
                                    static_cast<char>('a' + i % 26));
            const std::string_view piece = image;
            const std::span<const std::string_view> pieces(&piece, 1);
            const auto committed = co_await log->commit(*name, id, pieces);
            if (!committed)
                break;
            ++self->acknowledged_;
            self->disk_.events.push_back({Event::Kind::acknowledged, -1, 0, image, id.text()});
        }
        if (--self->sessions_ > 0)
            co_return;
        do
            co_await sleep_for(Milliseconds(1));
        while (log->is_at_work());
        Loop::current().stop();
    }

    void run(LogWriter& log, int sessions, int messages, std::size_t size)
    {
        sessions_ = sessions;
        for (int i = 0; i < sessions; ++i)
            scope_.spawn(session, this, &log, messages, size);
        Loop::current().run();
    }

    // Messages are settled as they come, every second one.
    void settle_some(LogWriter& log)
    {
        log.on_durable([this, &log](std::vector<LogPlace> places) {
            for (const LogPlace& place : places) {
                key_of_[place.owner] = log.states().key();
                if (place.serial % 4 == 0)
                    continue;
                log.states().set(place.slot, place.serial, LogState::gone);
                disk_.events.push_back({Event::Kind::settled, -1, 0, {}, place.id.text()});
            }
        });
    }

    std::filesystem::path root_;
    Spool spool_;
    RecordingDisk disk_;
    Scope scope_;
    std::map<std::string, LogKey> key_of_;
    int sessions_ = 0;
    int acknowledged_ = 0;
};

// The disk after the first `count` events: what was synced, and some sectors of the rest.
std::map<int, std::string> after_power_cut(const std::vector<Event>& events, std::size_t count,
                                           std::mt19937& random)
{
    std::map<int, std::string> files;
    std::map<int, std::vector<const Event*>> unsynced;
    const auto put = [&](const Event& event, std::size_t from, std::size_t size) {
        std::string& file = files[event.fd];
        file.resize(std::max(file.size(), static_cast<std::size_t>(event.offset) + from + size));
        file.replace(static_cast<std::size_t>(event.offset) + from, size, event.bytes, from, size);
    };
    for (std::size_t i = 0; i < count; ++i) {
        const Event& event = events[i];
        if (event.kind == Event::Kind::write)
            unsynced[event.fd].push_back(&event);
        if (event.kind != Event::Kind::sync)
            continue;
        for (const Event* const write : std::exchange(unsynced[event.fd], {}))
            put(*write, 0, write->bytes.size());
    }
    for (const auto& [fd, writes] : unsynced)
        for (const Event* const write : writes)
            for (std::size_t at = 0; at < write->bytes.size(); at += sector)
                if (random() % 2 == 0)
                    put(*write, at, std::min(sector, write->bytes.size() - at));
    return files;
}

} // namespace

TEST_F(LogWriterTest, NothingAcknowledgedIsLostWhereverThePowerFails)
{
    auto log = LogWriter::create(spool_, disk_);
    ASSERT_TRUE(log) << log.error().context;
    settle_some(**log);
    run(**log, 8, 30, 600);
    ASSERT_GT(acknowledged_, 100);
    const LogKey key = (*log)->states().key();

    std::mt19937 random(1);
    for (std::size_t count = 0; count <= disk_.events.size(); ++count) {
        std::map<std::string, std::string> owed; // id -> image
        for (std::size_t i = 0; i < count; ++i) {
            const Event& event = disk_.events[i];
            if (event.kind == Event::Kind::acknowledged)
                owed[event.id] = event.bytes;
            if (event.kind == Event::Kind::settled)
                owed.erase(event.id);
        }
        std::map<std::string, std::string> found;
        for (const auto& [fd, bytes] : after_power_cut(disk_.events, count, random))
            for (const LogEntry& entry : read_log_segment(bytes, key))
                if (entry.intact)
                    found[entry.header.id] = entry.image;
        for (const auto& [id, image] : owed)
            ASSERT_EQ(found[id], image) << "after " << count << " events";
    }
    (*log)->remove();
}

TEST_F(LogWriterTest, SegmentsAreUsedAgain)
{
    auto log = LogWriter::create(spool_, disk_);
    ASSERT_TRUE(log) << log.error().context;
    std::set<std::string> alive;
    (*log)->on_durable([&](std::vector<LogPlace> places) {
        for (const LogPlace& place : places)
            (*log)->states().set(place.slot, place.serial, LogState::gone);
    });
    run(**log, 4, 200, 60000); // 48 million bytes
    EXPECT_EQ(acknowledged_, 800);
    std::size_t segments = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root_ / "log"))
        segments += entry.path().filename().string().starts_with("s") && entry.file_size() > 1000000;
    EXPECT_LE(segments, LogWriter::max_segments);
    EXPECT_TRUE((*log)->is_empty());
    (*log)->remove();
    EXPECT_TRUE(std::filesystem::is_empty(root_ / "log"));
}

TEST_F(LogWriterTest, WhatASyncRefusesIsNotMail)
{
    auto log = LogWriter::create(spool_, disk_);
    ASSERT_TRUE(log) << log.error().context;
    disk_.fail = true;
    run(**log, 3, 5, 600);
    EXPECT_EQ(acknowledged_, 0);
    EXPECT_FALSE((*log)->borrow()); // from now on: files
    EXPECT_TRUE((*log)->is_empty());
    log->reset(); // its process is dead
    for (const LeftLog& left : LeftLog::find(spool_)) {
        const auto messages = left.messages();
        ASSERT_TRUE(messages);
        EXPECT_TRUE(messages->empty());
    }
}

TEST_F(LogWriterTest, WhatADeadProcessLeavesBecomesFiles)
{
    auto log = LogWriter::create(spool_, disk_);
    ASSERT_TRUE(log) << log.error().context;
    settle_some(**log);
    run(**log, 4, 20, 3000);
    EXPECT_TRUE(LeftLog::find(spool_).empty()); // it lives
    log->reset();
    auto left = LeftLog::find(spool_);
    ASSERT_EQ(left.size(), 1u);
    const auto messages = left[0].messages();
    ASSERT_TRUE(messages);
    EXPECT_EQ(messages->size(), 20u); // every fourth
    for (const LeftLog::Message& message : *messages) {
        const auto restored = left[0].restore(message);
        ASSERT_TRUE(restored) << restored.error().context;
        EXPECT_TRUE(*restored);
        const auto info = file_info(spool_, spool_.path_of(Queue::incoming, message.place.id));
        ASSERT_TRUE(info);
        EXPECT_TRUE(info->is_ready());
        EXPECT_EQ(info->inode, message.place.id.inode());
    }
    EXPECT_TRUE(left[0].messages()->empty());
    left[0].remove();
    EXPECT_TRUE(std::filesystem::is_empty(root_ / "log"));
}

TEST_F(LogWriterTest, ADeliveredMessageStaysGoneWhenItsSlotServesAgain)
{
    auto log = LogWriter::create(spool_, disk_);
    ASSERT_TRUE(log) << log.error().context;
    (*log)->on_durable([&](std::vector<LogPlace> places) {
        for (const LogPlace& place : places)
            (*log)->states().set(place.slot, place.serial, LogState::gone);
    });
    run(**log, 4, 200, 600); // far more than there are names, all in the first segment
    EXPECT_EQ(acknowledged_, 800);
    log->reset();
    const auto left = LeftLog::find(spool_);
    ASSERT_EQ(left.size(), 1u);
    EXPECT_TRUE(left[0].messages()->empty());
}

TEST_F(LogWriterTest, AFileThatDiedHalfwayIsWrittenAnew)
{
    auto log = LogWriter::create(spool_, disk_);
    ASSERT_TRUE(log) << log.error().context;
    LogPlace place;
    (*log)->on_durable([&](std::vector<LogPlace> places) { place = places.front(); });
    run(**log, 1, 1, 3000);
    log->reset();
    { // renamed, and then the power failed
        const auto name = log_name_path(place);
        ASSERT_TRUE(rename_in_spool(spool_, *name, spool_.path_of(Queue::active, place.id)));
    }
    auto left = LeftLog::find(spool_);
    ASSERT_EQ(left.size(), 1u);
    const auto messages = left[0].messages();
    ASSERT_TRUE(messages);
    ASSERT_EQ(messages->size(), 1u);
    const auto restored = left[0].restore(messages->front());
    ASSERT_TRUE(restored && *restored);
    EXPECT_FALSE(file_info(spool_, spool_.path_of(Queue::active, place.id)));
    const auto info = file_info(spool_, spool_.path_of(Queue::incoming, place.id));
    ASSERT_TRUE(info);
    EXPECT_EQ(info->size, 3000);
}

TEST_F(LogWriterTest, ACopiedFolderIsReadByNames)
{
    auto log = LogWriter::create(spool_, disk_);
    ASSERT_TRUE(log) << log.error().context;
    settle_some(**log);
    run(**log, 4, 20, 3000);
    log->reset();
    const auto folder = std::filesystem::directory_iterator(root_ / "log")->path();
    std::filesystem::rename(folder, root_ / "backup");
    std::filesystem::copy(root_ / "backup", folder); // other inodes
    auto left = LeftLog::find(spool_);
    ASSERT_EQ(left.size(), 1u);
    const auto messages = left[0].messages();
    ASSERT_TRUE(messages);
    EXPECT_EQ(messages->size(), 20u);
    for (const LeftLog::Message& message : *messages) {
        const auto restored = left[0].restore(message);
        EXPECT_TRUE(restored && *restored);
        const auto info = file_info(spool_, spool_.path_of(Queue::incoming, message.place.id));
        EXPECT_TRUE(info && info->is_ready());
    }
}

TEST_F(LogWriterTest, AFileIsBetterThanADamagedEntry)
{
    auto log = LogWriter::create(spool_, disk_);
    ASSERT_TRUE(log) << log.error().context;
    std::vector<LogPlace> places;
    (*log)->on_durable(
        [&](std::vector<LogPlace> more) { places.insert(places.end(), more.begin(), more.end()); });
    run(**log, 1, 2, 3000);
    ASSERT_EQ(places.size(), 2u);
    ASSERT_TRUE(file_away(spool_, (*log)->states(), places[0], Queue::incoming));
    const std::string path = root_ / log_path(places[0].owner);
    log->reset();
    { // its state was not on disk, and the disk is bad
        const UniqueFd segment(::open((path + "/s1").c_str(), O_RDWR));
        ASSERT_EQ(::pwrite(segment.get(), "?", 1, places[0].image() + 100), 1);
        const UniqueFd states(::open((path + "/states").c_str(), O_RDWR));
        const std::string zeros(log_slots * 8, '\0');
        ASSERT_EQ(::pwrite(states.get(), zeros.data(), zeros.size(), 64), std::ssize(zeros));
    }
    auto left = LeftLog::find(spool_);
    ASSERT_EQ(left.size(), 1u);
    const auto messages = left[0].messages();
    ASSERT_TRUE(messages);
    ASSERT_EQ(messages->size(), 2u);
    ASSERT_FALSE(messages->front().intact);
    const auto restored = left[0].restore(messages->front());
    EXPECT_TRUE(restored && *restored);
    EXPECT_TRUE(file_info(spool_, spool_.path_of(Queue::incoming, places[0].id)));
    EXPECT_FALSE(file_info(spool_, spool_.path_of(Queue::corrupt, places[0].id)));
}

} // namespace bulkhead
