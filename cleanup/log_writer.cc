#include "log_writer.h"

#include "async/offload.h"
#include "base/clock.h"
#include "log/log.h"
#include "spool/io.h"
#include "spool/marks.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace bulkhead
{

namespace
{

constexpr std::size_t max_batch = 64;       // messages
constexpr std::size_t first_names = 128;    // the rest comes when it is needed
constexpr std::size_t names_at_a_time = 32; // made in one go, and then a pause
constexpr Milliseconds making_pause{500};   // names for those that became files: slowly,
                                            // where much is filed a log is of little use
constexpr std::size_t few_names = 32;
constexpr std::int64_t zero_block = 64 * 1024;
const std::string zeros(static_cast<std::size_t>(zero_block), '\0');

class RealDisk final : public LogDisk
{
public:
    Result<> write(int fd, std::span<const std::string_view> pieces, std::int64_t offset) override
    {
        return write_pieces_at(fd, pieces, offset);
    }
    Result<> sync(int fd) override { return ::fdatasync(fd) == 0 ? Result<>() : system_error("fdatasync"); }
};

std::int64_t up_to_page(std::int64_t bytes)
{
    constexpr auto page = static_cast<std::int64_t>(log_page);
    return (bytes + page - 1) / page * page;
}

} // namespace

LogDisk& real_log_disk()
{
    static RealDisk disk;
    return disk;
}

// In the frame of the coroutine that waits.
struct LogWriter::Commit {
    Name name;
    QueueId id;
    std::span<const std::string_view> pieces;
    std::size_t bytes = 0;
    Result<> result{};
    LogPlace place{};
    std::coroutine_handle<> waiter{};

    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) { waiter = handle; }
    Result<> await_resume() { return std::move(result); }
};

struct LogWriter::Batch {
    Segment* segment = nullptr;
    std::int64_t offset = 0;
    std::vector<Commit*> commits;
    std::vector<LogHeader> headers;
};

// ---- beginning and end -------------------------------------------------------------

LogWriter::LogWriter(const Spool& spool, LogDisk& disk, std::string owner, UniqueFd lock, LogStates states)
    : spool_(&spool), disk_(&disk), owner_(std::move(owner)), lock_(std::move(lock)),
      states_(std::make_unique<LogStates>(std::move(states)))
{
}

LogWriter::~LogWriter() = default;

// Zeros are written, not only reserved: else each sync would have to note in the journal
// which blocks are in use now.
Result<UniqueFd> LogWriter::make_segment(const Spool& spool, LogDisk& disk, const std::string& path)
{
    TRY(UniqueFd fd, open_at(spool.root_fd(), path, O_RDWR | O_CREAT | O_EXCL, file_mode::unfinished));
    const std::string_view piece = zeros;
    for (std::int64_t at = 0; at < segment_bytes; at += zero_block) {
        const auto written = disk.write(fd.get(), std::span(&piece, 1), at);
        if (!written) {
            ::unlinkat(spool.root_fd(), path.c_str(), 0);
            return system_error("write " + path, written.error().number);
        }
    }
    if (::fsync(fd.get()) != 0)
        return file_error("fsync", path);
    return fd;
}

// Empty files, named by their inodes.
Result<std::vector<std::uint64_t>> LogWriter::make_names(const Spool& spool, const std::string& owner,
                                                         std::size_t count)
{
    std::vector<std::uint64_t> inodes;
    const std::string temporary = log_path(owner) + "/new";
    while (inodes.size() < count) {
        TRY(const UniqueFd fd,
            open_at(spool.root_fd(), temporary, O_RDWR | O_CREAT | O_TRUNC, file_mode::unfinished));
        struct stat st{};
        if (::fstat(fd.get(), &st) != 0)
            return file_error("stat", temporary);
        TRY_VOID(rename_in_spool(spool, temporary, log_name_path(owner, st.st_ino)));
        inodes.push_back(st.st_ino);
    }
    return inodes;
}

void LogWriter::take_up(const std::vector<std::uint64_t>& inodes)
{
    for (const std::uint64_t inode : inodes) {
        const auto slot = std::ranges::find(slots_, Use::lost, &Slot::use);
        if (slot == slots_.end())
            return; // the file goes with the folder
        *slot = Slot();
        slot->inode = inode;
        slot->use = Use::free;
        free_.push_back(static_cast<std::uint32_t>(slot - slots_.begin()));
    }
}

Result<std::unique_ptr<LogWriter>> LogWriter::create(const Spool& spool, LogDisk& disk)
{
    const WallTime now = WallTime::now();
    const std::string owner = fmt::format("{}-{}-{}", now.seconds, now.microseconds, ::getpid());
    const std::string path = log_path(owner);
    if (::mkdirat(spool.root_fd(), path.c_str(), 0700) != 0)
        return file_error("create directory", path);
    TRY(UniqueFd lock, lock_log(spool, owner));
    LogKey key;
    if (::getrandom(key.data(), key.size(), 0) != static_cast<ssize_t>(key.size()))
        return system_error("getrandom");
    auto states = LogStates::create(spool, owner, key);
    if (!states) {
        remove_log(spool, owner);
        return states.error();
    }
    std::unique_ptr<LogWriter> log(new LogWriter(spool, disk, owner, std::move(lock), *std::move(states)));
    log->slots_.resize(log_slots);
    const auto names = make_names(spool, owner, first_names);
    auto segment =
        names ? make_segment(spool, disk, log_segment_path(owner, 1)) : Result<UniqueFd>(names.error());
    // The names of all these files must be on disk before anything relies on them.
    if (segment && ::fsync(log->lock_.get()) != 0)
        segment = file_error("fsync", path);
    if (!segment) {
        remove_log(spool, owner);
        return segment.error();
    }
    log->take_up(*names);
    log->last_segment_ = 1;
    log->segments_.push_back(std::make_unique<Segment>());
    log->segments_.back()->fd = *std::move(segment);
    log->segments_.back()->number = 1;
    log->current_ = log->segments_.back().get();
    return log;
}

// ---- names -----------------------------------------------------------------------

void LogWriter::settle(Slot& slot, LogState state)
{
    changed_ = true;
    for (const auto& segment : segments_)
        if (segment->number == slot.place.segment) {
            --segment->alive;
            segment->pinned |= state == LogState::filed;
        }
    if (state == LogState::gone) {
        slot.use = Use::free;
        free_.push_back(static_cast<std::uint32_t>(&slot - slots_.data()));
    } else {
        slot.use = Use::lost;
    }
}

void LogWriter::look_at_states()
{
    for (std::uint32_t i = 0; i < slots_.size(); ++i) {
        Slot& slot = slots_[i];
        if (slot.use != Use::logged)
            continue;
        const LogState state = states_->of(i, slot.serial);
        if (state != LogState::alive)
            settle(slot, state);
    }
}

std::optional<LogWriter::Name> LogWriter::borrow()
{
    if (broken_)
        return std::nullopt;
    if (free_.size() < few_names) {
        look_at_states();
        if (free_.size() < few_names && !making_ && SteadyClock::now() >= next_making_)
            scope_.spawn(add_names, this);
    }
    if (free_.empty())
        return std::nullopt;
    const std::uint32_t index = free_.front();
    free_.pop_front();
    Slot& slot = slots_[index];
    slot.use = Use::lent;
    return Name{index, slot.inode};
}

std::optional<LogWriter::Name> LogWriter::borrow_spare()
{
    if (free_.size() <= 2 * few_names)
        look_at_states();
    return free_.size() > 2 * few_names ? borrow() : std::nullopt;
}

void LogWriter::give_back(const Name& name)
{
    slots_[name.slot].use = Use::free;
    free_.push_back(name.slot);
}

std::string LogWriter::take_name(const Name& name)
{
    slots_[name.slot].use = Use::lost;
    return log_name_path(owner_, name.inode);
}

// ---- making room, beside the traffic -------------------------------------------------

Task<> LogWriter::add_names(LogWriter* self)
{
    self->making_ = true;
    const auto make = [self] { return make_names(*self->spool_, self->owner_, names_at_a_time); };
    const auto made = co_await offload(make);
    if (made)
        self->take_up(*made);
    else
        log::warn("commit log: " + made.error().context);
    self->next_making_ = SteadyClock::now() + making_pause;
    self->making_ = false;
}

void LogWriter::want_segment()
{
    if (!making_ && !broken_ && SteadyClock::now() >= next_making_)
        scope_.spawn(add_segment, this);
}

Task<> LogWriter::add_segment(LogWriter* self)
{
    self->making_ = true;
    const std::uint32_t number = ++self->last_segment_;
    const std::string path = log_segment_path(self->owner_, number);
    const auto make = [self, &path]() -> Result<UniqueFd> {
        TRY(UniqueFd fd, make_segment(*self->spool_, *self->disk_, path));
        if (::fsync(self->lock_.get()) != 0)
            return file_error("fsync", path);
        return fd;
    };
    auto made = co_await offload(make);
    if (made) {
        self->segments_.push_back(std::make_unique<Segment>());
        self->segments_.back()->fd = *std::move(made);
        self->segments_.back()->number = number;
    } else {
        log::warn("commit log: " + made.error().context);
        self->next_making_ = SteadyClock::now() + Seconds(10);
    }
    self->making_ = false;
}

// One with so much room; those in which nobody is alive start anew.
LogWriter::Segment* LogWriter::segment_for(std::int64_t bytes)
{
    if (current_ != nullptr && current_->used + bytes <= segment_bytes)
        return current_;
    look_at_states();
    std::erase_if(segments_, [this](const auto& segment) {
        if (segment->alive > 0 || !segment->pinned)
            return false;
        // Agents have it open, and read on; its place is taken by a new file.
        ::unlinkat(spool_->root_fd(), log_segment_path(owner_, segment->number).c_str(), 0);
        if (current_ == segment.get())
            current_ = nullptr;
        return true;
    });
    for (const auto& segment : segments_) {
        if (segment->alive > 0)
            continue;
        if (segment->used > 0)
            ++segment->generation;
        segment->used = 0;
        current_ = segment.get();
        break;
    }
    const bool found = current_ != nullptr && current_->used + bytes <= segment_bytes;
    const auto idle =
        std::ranges::count_if(segments_, [](const auto& segment) { return segment->alive == 0; });
    if (idle < 2 && segments_.size() < max_segments)
        want_segment();
    return found ? current_ : nullptr;
}

// ---- committing ------------------------------------------------------------------

Task<Result<>> LogWriter::commit(Name name, QueueId id, std::span<const std::string_view> pieces)
{
    Commit message{.name = name, .id = std::move(id), .pieces = pieces};
    for (const std::string_view piece : pieces)
        message.bytes += piece.size();
    slots_[name.slot].use = Use::waiting;
    waiting_.push_back(&message);
    if (!running_)
        scope_.spawn(run, this);
    // The runner has a system call in front of it: it never ends before we wait.
    auto result = co_await message;
    co_return result;
}

LogWriter::Batch LogWriter::next_batch()
{
    Batch batch;
    std::int64_t bytes = 0;
    while (!waiting_.empty() && batch.commits.size() < max_batch) {
        batch.commits.push_back(waiting_.front());
        bytes += static_cast<std::int64_t>(log_entry_bytes(waiting_.front()->bytes));
        waiting_.pop_front();
    }
    batch.segment = broken_ ? nullptr : segment_for(up_to_page(bytes));
    if (batch.segment == nullptr)
        return batch;
    batch.offset = batch.segment->used;
    batch.segment->used += up_to_page(bytes);
    std::int64_t at = batch.offset;
    const std::uint64_t first = last_serial_ + 1;
    const std::int64_t now = WallTime::now().seconds;
    for (Commit* const commit : batch.commits) {
        LogHeader header;
        header.serial = ++last_serial_;
        header.generation = batch.segment->generation;
        header.batch = first;
        header.time = now;
        header.slot = commit->name.slot;
        header.image_bytes = static_cast<std::uint32_t>(commit->bytes);
        header.id = commit->id.text();
        batch.headers.push_back(std::move(header));
        commit->place = {owner_, batch.segment->number, commit->name.slot, at, last_serial_, commit->id};
        at += static_cast<std::int64_t>(log_entry_bytes(commit->bytes));
    }
    return batch;
}

// On the pool.
Result<> LogWriter::write_batch(Batch& batch)
{
    std::string headers;
    headers.reserve(batch.headers.size() * log_header_bytes);
    std::vector<std::string_view> pieces;
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < batch.commits.size(); ++i) {
        const Commit& commit = *batch.commits[i];
        std::uint32_t sum = 0;
        for (const std::string_view piece : commit.pieces)
            sum = checksum(piece, sum);
        batch.headers[i].image_checksum = sum;
        append_log_header(headers, states_->key(), batch.headers[i]);
        pieces.emplace_back(headers.data() + i * log_header_bytes, log_header_bytes);
        pieces.insert(pieces.end(), commit.pieces.begin(), commit.pieces.end());
        const std::size_t whole = log_entry_bytes(commit.bytes);
        pieces.push_back(std::string_view(zeros).substr(0, whole - log_header_bytes - commit.bytes));
        bytes += whole;
    }
    const auto end = static_cast<std::size_t>(up_to_page(static_cast<std::int64_t>(bytes)));
    pieces.push_back(std::string_view(zeros).substr(0, end - bytes));
    std::erase_if(pieces, [](std::string_view piece) { return piece.empty(); });
    TRY_VOID(disk_->write(batch.segment->fd.get(), pieces, batch.offset));
    return disk_->sync(batch.segment->fd.get());
}

void LogWriter::finished(Batch& batch, const Result<>& written)
{
    const SteadyTime now = SteadyClock::now();
    std::vector<LogPlace> durable;
    for (Commit* const commit : batch.commits) {
        Slot& slot = slots_[commit->name.slot];
        if (batch.segment == nullptr) {
            slot.use = Use::lent; // its owner makes a file of it
            commit->result = Error{Fault::limit, "the commit log has no room"};
            continue;
        }
        slot.serial = commit->place.serial;
        slot.place = commit->place;
        slot.since = now;
        slot.told = true;
        slot.use = Use::logged;
        ++batch.segment->alive;
        if (written) {
            states_->set(commit->name.slot, commit->place.serial, LogState::alive); // for those who count
            durable.push_back(commit->place);
            continue;
        }
        // Nobody shall take it for mail that was accepted.
        states_->set(commit->name.slot, commit->place.serial, LogState::gone);
        commit->result = written.error();
    }
    if (!written && batch.segment != nullptr) {
        log::error("commit log: " + written.error().context + "; new messages get files");
        broken_ = true;
    }
    if (!durable.empty() && sink_)
        sink_(std::move(durable));
    // Each may destroy its commit, and begin another one.
    for (Commit* const commit : std::exchange(batch.commits, {}))
        commit->waiter.resume();
}

Task<> LogWriter::run(LogWriter* self)
{
    self->running_ = true;
    while (!self->waiting_.empty()) {
        co_await yield_turn(); // whoever is ready in this turn comes along
        Batch batch = self->next_batch();
        Result<> written;
        if (batch.segment != nullptr) {
            const auto write = [self, &batch] { return self->write_batch(batch); };
            written = co_await offload(write);
        }
        self->finished(batch, written);
    }
    self->running_ = false;
}

// ---- what became of the messages ------------------------------------------------------

void LogWriter::keep_states()
{
    look_at_states();
    if (changed_ && !syncing_states_ && !broken_)
        scope_.spawn(sync_states, this);
}

Task<> LogWriter::sync_states(LogWriter* self)
{
    self->syncing_states_ = true;
    self->changed_ = false;
    const auto sync = [self] { return self->states_->sync(); };
    const auto synced = co_await offload(sync);
    if (!synced) {
        log::error("commit log: " + synced.error().context + "; new messages get files");
        self->broken_ = true;
    }
    self->syncing_states_ = false;
}

// ---- what the queue manager has not taken ---------------------------------------------

std::vector<LogPlace> LogWriter::overdue(Milliseconds age)
{
    look_at_states();
    std::vector<LogPlace> places;
    const SteadyTime limit = SteadyClock::now() - age;
    for (const Slot& slot : slots_)
        if (slot.use == Use::logged && slot.since <= limit)
            places.push_back(slot.place);
    return places;
}

void LogWriter::set_told(const LogPlace& place, bool told)
{
    Slot& slot = slots_[place.slot];
    if (slot.use == Use::logged && slot.serial == place.serial)
        slot.told = told;
}

void LogWriter::file_rest()
{
    look_at_states();
    for (const Slot& slot : slots_) {
        if (slot.use != Use::logged || slot.told)
            continue;
        const auto filed = file_away(*spool_, *states_, slot.place, Queue::incoming);
        if (!filed && filed.error().fault != Fault::not_found)
            log::warn(
                fmt::format("{}: stays in the commit log: {}", slot.place.id.text(), filed.error().context));
    }
    look_at_states();
}

void LogWriter::remove()
{
    remove_log(*spool_, owner_);
}

bool LogWriter::is_empty()
{
    look_at_states();
    return scope_.size() == 0 && std::ranges::none_of(slots_, [](const Slot& slot) {
               return slot.use == Use::lent || slot.use == Use::waiting || slot.use == Use::logged;
           });
}

} // namespace bulkhead
