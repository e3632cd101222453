// The commit log's folders: what cleanup, qmgr and the delivery agents must agree on.
// docs/commit-log.md tells the whole story; in short:
//
//   log/<owner>/        of one cleanup process, which holds a lock on the folder
//     states            the folder's key, and eight bytes for each of the messages that can be
//                       in the log at a time; mapped by all who use it, synced by its owner
//                       now and then.  Little endian: 0 magic  8 key (16)  24 nothing
//                       64 for each slot serial * 4 + LogState
//     s1, s2, ...       segments: entries as log_entry.h has them
//     4C0FE, ...        empty files, one per slot, named by their inode, in hex.  A message
//                       in the log has the inode's number in its queue id; when it needs a
//                       file, it is this one that gets the id as its name.
//
// An entry is alive until its slot says otherwise.  All functions that touch the disk are
// synchronous.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "spool/log_entry.h"
#include "spool/new_file.h"
#include "spool/paths.h"
#include "spool/queue_id.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace bulkhead
{

inline constexpr std::size_t log_slots = 512;
inline constexpr std::string_view log_folder = "log";

// Where a message is.
struct LogPlace {
    std::string owner;
    std::uint32_t segment = 0;
    std::uint32_t slot = 0;
    std::int64_t offset = 0; // of the header
    std::uint64_t serial = 0;
    QueueId id;

    std::int64_t image() const { return offset + static_cast<std::int64_t>(log_header_bytes); }
};

// "owner segment slot offset serial id", for messages between our processes.
std::string to_text(const LogPlace& place);
Result<LogPlace> parse_log_place(std::string_view text);

// Paths relative to the spool's root.
std::string log_path(std::string_view owner);
std::string log_segment_path(std::string_view owner, std::uint32_t segment);
std::string log_name_path(std::string_view owner, std::uint64_t inode);
Result<std::string> log_name_path(const LogPlace& place); // Fault::malformed: the id names no inode

// What became of an entry.
enum class LogState : std::uint64_t {
    alive,   // only the log has it
    gone,    // delivered; its slot and its bytes may be used again
    filed,   // it has a file; agents may still read its bytes
    settled, // it has or had a file; nobody reads its bytes
};

// The states of one folder, shared through memory: setting one costs no system call.
class LogStates
{
public:
    static Result<LogStates> create(const Spool& spool, std::string_view owner, const LogKey& key);
    static Result<LogStates> open(const Spool& spool, std::string_view owner);
    LogStates(LogStates&& other) noexcept;
    LogStates& operator=(LogStates&&) = delete;
    ~LogStates();

    const LogKey& key() const { return key_; }
    LogState of(std::uint32_t slot, std::uint64_t serial) const;
    void set(std::uint32_t slot, std::uint64_t serial, LogState state);
    // Slots whose message was said to be alive, and nothing since.
    std::size_t count_alive() const;

    // What was set so far is on disk when this returns.  Nothing needs it: a state that a power
    // cut takes back is a message that is delivered twice.
    Result<> sync() const;

private:
    struct Layout;
    LogStates(UniqueFd file, Layout* shared, const LogKey& key)
        : file_(std::move(file)), shared_(shared), key_(key)
    {
    }
    static Result<LogStates> map(UniqueFd file, const std::string& path);

    UniqueFd file_;
    Layout* shared_;
    LogKey key_;
};

// The segment that was used last stays open: most messages are in the same one as the message
// before.  One that was removed meanwhile keeps its room on the disk until the next is asked for.
class LogSegment
{
public:
    // For reading and writing.
    Result<std::shared_ptr<const UniqueFd>> open(const Spool& spool, const LogPlace& place);

private:
    std::string path_;
    std::shared_ptr<const UniqueFd> fd_;
};

// The image at this place; Fault::malformed when something else is there.
Result<std::string> read_log_image(const Spool& spool, const LogStates& states, const LogPlace& place);
Result<std::string> read_log_image(int segment, const LogKey& key, const LogPlace& place);

// An image becomes an ordinary queue file, complete and durable, in `target`; then the entry
// is marked.  Marks of recipients that agents make meanwhile are in the file too.
// Fault::not_found: somebody else has filed it, or is about to.
Result<> file_away(const Spool& spool, LogStates& states, const LogPlace& place, Queue target);

// A message as an agent of the queue manager reads it.
struct OpenLogged {
    std::shared_ptr<const UniqueFd> segment;
    UniqueFd name; // the file that holds the message's lock and its place in the spool
    std::int64_t begin = 0;
    std::int64_t end = 0; // of the image, in the segment
};
// Fault::not_found: it has a file by now.
Result<OpenLogged> open_logged(const Spool& spool, LogSegment& segment, const LogPlace& place);

// After a recipient was marked in the image: the same in the file, if there is one by now.
Result<> repeat_mark(int name, std::int64_t offset);

// ---- what dead owners left ----

class LeftLog
{
public:
    // The folders whose owners are dead; each is locked as long as its LeftLog lives.
    static std::vector<LeftLog> find(const Spool& spool);

    struct Message {
        LogPlace place;
        std::string image;
        bool intact = false; // false: acknowledged, but damaged
    };
    // Alive, oldest first.  Torn entries that nobody was told of are left out.
    Result<std::vector<Message>> messages() const;

    // As restore_logged().
    Result<bool> restore(const Message& message);

    const std::shared_ptr<LogStates>& states() const { return states_; }

    // Takes everything away.
    void remove();

private:
    LeftLog(const Spool& spool, std::string owner, UniqueFd lock, LogStates states);

    const Spool* spool_;
    std::string owner_;
    UniqueFd lock_;
    std::shared_ptr<LogStates> states_; // shared with who delivers what is in it
};

// A message gets a file in `target`, incoming/ or active/, unless it has one somewhere, even when its name is
// gone. True: it has one now; false: somebody is writing it.
Result<bool> restore_logged(const Spool& spool, LogStates& states, const LeftLog::Message& message,
                            Queue target);

// ---- for those who only look ----

// How many messages are alive in all folders.  A message that leaves for a queue is there
// before it is no longer counted here: whoever looks here first misses none.
std::size_t count_logged(const Spool& spool);

// The same messages.  What is being written, or damaged, is left out.
std::vector<LeftLog::Message> logged_messages(const Spool& spool);

// The folder with its lock; a second process gets Fault::refused.
Result<UniqueFd> lock_log(const Spool& spool, std::string_view owner);

// Files and folder, by a process that holds the lock.
void remove_log(const Spool& spool, std::string_view owner);

} // namespace bulkhead
