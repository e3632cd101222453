// The writing end of the commit log (spool/commit_log.h): gathers what sessions have ready
// into batches, each with one write and one sync; while one is under way the next one
// gathers.  Lends the names that messages may need as files.
//
// A message that finds no room here (no name, no segment that is free) gets a file at once,
// as without a log: nothing ever waits for room.
#pragma once

#include "async/loop.h"
#include "async/scope.h"
#include "async/task.h"
#include "spool/commit_log.h"

#include <coroutine>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

// The file operations of the log: the real ones, or a test's.
class LogDisk
{
public:
    virtual ~LogDisk() = default;
    virtual Result<> write(int fd, std::span<const std::string_view> pieces, std::int64_t offset) = 0;
    virtual Result<> sync(int fd) = 0; // data only
};

LogDisk& real_log_disk();

class LogWriter
{
public:
    static constexpr std::int64_t segment_bytes = 8 * 1024 * 1024;
    static constexpr std::size_t max_segments = 4;

    // Makes the folder, its first segment and its names: on the pool, it takes a while.
    static Result<std::unique_ptr<LogWriter>> create(const Spool& spool, LogDisk& disk = real_log_disk());
    ~LogWriter();

    // Told of each batch that is durable, before those who wait for it: the delivery begins while
    // the client gets its answer.
    using Sink = std::function<void(std::vector<LogPlace> places)>;
    void on_durable(Sink sink) { sink_ = std::move(sink); }

    // A name for a message that may be logged: its id is made of the inode.
    struct Name {
        std::uint32_t slot = 0;
        std::uint64_t inode = 0;
    };
    std::optional<Name> borrow();
    // The same for a message that may never come: only while there are plenty.
    std::optional<Name> borrow_spare();
    // The message came to nothing.
    void give_back(const Name& name);
    // The message gets a file, now: this is the way to its name.
    std::string take_name(const Name& name);

    // Durable when this returns.  The pieces make one image, of max_log_image at most, and stay
    // where they are.  Fault::limit: no room, the name is still the caller's; on any other
    // error it is not, and the message is gone.
    Task<Result<>> commit(Name name, QueueId id, std::span<const std::string_view> pieces);

    // Alive, and durable for at least so long.
    std::vector<LogPlace> overdue(Milliseconds age);

    // Whether the queue manager was asked to deliver it: true until it has not answered.
    void set_told(const LogPlace& place, bool told);

    // Once in a while: puts on disk what became of the messages, if anything has.  What a power
    // cut makes alive again is delivered twice.
    void keep_states();

    // Those that it does not know of become files: before this process ends.  Blocks.
    void file_rest();
    // The folder, which is_empty(); nothing else may be called then.  Blocks.
    void remove();

    bool is_empty();                                      // no message is in it, or about to be
    bool is_at_work() const { return scope_.size() > 0; } // its own coroutines, or threads for them
    LogStates& states() { return *states_; }

private:
    enum class Use { free, lent, waiting, logged, lost };
    struct Slot {
        std::uint64_t inode = 0;
        Use use = Use::lost;
        bool told = false;
        std::uint64_t serial = 0;
        SteadyTime since{};
        LogPlace place;
    };
    struct Segment {
        UniqueFd fd;
        std::uint32_t number = 0;
        std::uint64_t generation = 1;
        std::int64_t used = 0;
        std::size_t alive = 0;
        bool pinned = false; // agents may still read what has got a file
    };
    struct Commit; // a message that waits
    struct Batch;

    LogWriter(const Spool& spool, LogDisk& disk, std::string owner, UniqueFd lock, LogStates states);
    static Result<UniqueFd> make_segment(const Spool& spool, LogDisk& disk, const std::string& path);
    static Result<std::vector<std::uint64_t>> make_names(const Spool& spool, const std::string& owner,
                                                         std::size_t count);
    void take_up(const std::vector<std::uint64_t>& inodes);
    void look_at_states();
    void settle(Slot& slot, LogState state);
    Segment* segment_for(std::int64_t bytes);
    void want_segment();
    static Task<> add_segment(LogWriter* self);
    static Task<> add_names(LogWriter* self);
    static Task<> sync_states(LogWriter* self);
    static Task<> run(LogWriter* self);
    Batch next_batch();
    Result<> write_batch(Batch& batch);
    void finished(Batch& batch, const Result<>& written);

    const Spool* spool_;
    LogDisk* disk_;
    std::string owner_;
    UniqueFd lock_;
    std::unique_ptr<LogStates> states_;
    std::vector<Slot> slots_;
    std::deque<std::uint32_t> free_;
    std::vector<std::unique_ptr<Segment>> segments_;
    Segment* current_ = nullptr;
    std::uint32_t last_segment_ = 0;
    std::uint64_t last_serial_ = 0;
    std::deque<Commit*> waiting_;
    bool running_ = false;
    bool making_ = false; // a segment, or names
    bool broken_ = false; // a sync has failed: nothing new
    bool syncing_states_ = false;
    bool changed_ = false; // a state, since they were synced
    SteadyTime next_making_{};
    Sink sink_;
    Scope scope_;
};

} // namespace bulkhead
