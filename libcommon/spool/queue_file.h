// Reading queue files: the envelope into a value, the content record by record,
// the raw records for inspectors.  Synchronous: callers run this on a pool.
//
// Files that were edited in place have their records out of order; a pointer
// record says where to go on.  RecordStream is the only place that follows it.
#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "spool/paths.h"
#include "spool/record.h"
#include "spool/size_record.h"

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

// ---- Files ---------------------------------------------------------------

// What stat says, as far as a queue cares.
struct FileInfo {
    mode_t mode = 0;
    uid_t owner = 0;
    nlink_t links = 0;
    std::uint64_t inode = 0;
    std::int64_t size = 0;
    std::int64_t modified = 0;              // seconds; in deferred: the next attempt
    std::int64_t modified_microseconds = 0; // part below the second

    bool is_regular() const;
    // Complete: a regular file that its owner may read, write and execute.
    bool is_ready() const;
    bool is_marked_corrupt() const;    // 0400
    bool is_expire_forced() const;     // 0010
    bool is_unthrottle_wanted() const; // 0040
};

enum class Access { read, read_write };

struct OpenQueueFile {
    UniqueFd fd;
    FileInfo info;
};

// Opens a file by queue and id, or by a path relative to the spool's root (from
// a scan).  Symbolic links and everything that is not a regular file are
// refused.  Fault::not_found if there is none.
Result<OpenQueueFile> open_queue_file(const Spool& spool, Queue queue, const QueueId& id,
                                      Access access = Access::read);
Result<OpenQueueFile> open_queue_file(const Spool& spool, const std::string& path,
                                      Access access = Access::read);

// ---- Records from a file ---------------------------------------------------

// A record and the offset of its type byte.
struct FileRecord {
    std::int64_t offset = 0;
    RecordType type{};
    std::string_view data; // until the next call

    bool is(RecordType wanted) const { return type == wanted; }
};

enum class Pointers { follow, show };

// Records in the order of reading (Pointers::follow; p records are not shown)
// or in the order of the file (Pointers::show).  Reads blocks of 64 KiB.
class RecordStream
{
public:
    static constexpr std::size_t block_size = 64 * 1024;
    static constexpr std::size_t max_record = 16 * 1024 * 1024;
    static constexpr int max_backward_jumps = 10000;

    // `fd` stays the caller's and must outlive the stream.
    explicit RecordStream(int fd, Pointers pointers = Pointers::follow, std::int64_t offset = 0);
    // The same over bytes in memory, which must outlive the stream.
    explicit RecordStream(std::string_view bytes, Pointers pointers = Pointers::follow,
                          std::int64_t offset = 0);

    // nullopt at the end of the bytes.  Fault::malformed: cut or overlong record,
    // pointer out of the file, too many backward jumps.  Fault::io.
    Result<std::optional<FileRecord>> next();

    // Goes on somewhere else.  Does not count as a jump.
    void seek(std::int64_t offset) { offset_ = offset; }
    // Offset of the record that next() reads (before a jump, if that is a pointer).
    std::int64_t offset() const { return offset_; }

private:
    Result<std::string_view> window(std::size_t wanted);

    int fd_ = -1;
    Pointers pointers_;
    std::int64_t offset_ = 0;
    int backward_jumps_ = 0;

    std::string_view held_; // bytes of the file from held_at_ on
    std::int64_t held_at_ = 0;
    bool held_to_end_ = false; // held_ reaches the end of the file
    std::unique_ptr<char[]> block_;
    std::size_t block_capacity_ = 0;
};

// ---- Envelope -------------------------------------------------------------

enum class RecipientState : unsigned char { to_do, done, cancelled };

struct Recipient {
    std::int64_t offset = 0;  // of its record: where "done" is marked
    std::string address;      // internal form, not quoted
    std::string original;     // as received (record O), "" if not recorded
    std::string dsn_original; // "type;address" (RFC 3461, 4.2), or ""
    unsigned notify = 0;      // notify:: bits, 0 = not given
    RecipientState state = RecipientState::to_do;
};

struct NamedAttribute {
    std::string name;
    std::string value;
};

// Where reading recipients goes on.
struct RecipientCursor {
    std::int64_t offset = 0; // 0: there are no more
    bool extracted = false;  // in the segment after the content
    unsigned backward_jumps = 0;

    explicit operator bool() const { return offset > 0; }
};

struct Envelope {
    MessageSizes sizes;
    WallTime arrival;             // T; kept when a message is queued again
    std::int64_t create_time = 0; // when this file was made: base for back-off and expiry
    std::string sender;           // "" is the null sender
    std::string full_name;
    std::string encoding;    // "7bit", "8bit" or ""
    std::string envelope_id; // ENVID, decoded
    std::string log_ident;
    std::string rewrite_context; // "local" or "remote"
    std::string verp;            // two characters, or ""
    std::string content_filter;  // transport:nexthop, or ""
    std::string inspect_transport;
    std::string redirect;                // replaces all recipients, if not ""
    unsigned ret_flags = 0;              // dsn_ret:: value, 0 = not given
    unsigned trace_flags = 0;            // trace_flag:: bits
    std::int64_t trace_flags_offset = 0; // of the record that asks for a report; 0 = none
    std::int64_t warn_time = 0;          // when to send the "delayed" notice; <= 0 = never (again)
    std::int64_t warn_offset = 0;        // of the W record; 0 = none
    // All other attributes in their order: log_client_*, client_*, sasl_*, …
    std::vector<NamedAttribute> attributes;

    std::vector<Recipient> recipients;
    std::size_t recipients_done = 0;   // D and / records passed over so far
    std::size_t recipients_unread = 0; // to do, behind `next`
    RecipientCursor next;              // where the unread ones start

    // The value of the last attribute of that name, "" if there is none.
    std::string_view attribute(std::string_view name) const;
    // Field 5 of the C record, or the size on disk of the content.
    std::int64_t message_size() const
    {
        return sizes.content_length > 0 ? sizes.content_length : sizes.content_bytes;
    }
};

// Bits of the attribute trace_flags.
namespace trace_flag
{
inline constexpr unsigned probe = 256;       // address verification probe
inline constexpr unsigned verify_only = 512; // sendmail -bv
inline constexpr unsigned record = 1024;     // sendmail -v: a report of the delivery
inline constexpr unsigned delay_sent = 8192;
} // namespace trace_flag

struct EnvelopeOptions {
    std::size_t max_recipients = std::numeric_limits<std::size_t>::max(); // kept in memory
    bool with_done = false;                                               // keep D and / recipients too
    bool submission = false; // a file of maildrop: no C record, sizes are found by reading it
};

inline constexpr std::size_t max_named_attributes = 1000;

// The whole envelope, from the head of the file and from behind the content.
// One read for files up to 64 KiB; in larger ones the content is jumped over.
// Fault::malformed (the file belongs in corrupt/): no C, T, S or E, a record that
// does not belong where it stands, bad numbers or lengths.  Fault::io: the disk.
Result<Envelope> read_envelope(int fd, const EnvelopeOptions& options = {});
Result<Envelope> parse_envelope(std::string_view file, const EnvelopeOptions& options = {});

// The next recipients of a message that has more than are kept in memory.
struct RecipientBatch {
    std::vector<Recipient> recipients;
    std::size_t recipients_done = 0;
    RecipientCursor next;
};
Result<RecipientBatch> read_recipients(int fd, const MessageSizes& sizes, RecipientCursor from,
                                       std::size_t max_recipients);

// ---- Content ---------------------------------------------------------------

// The header and body of a message as N and L records; pointers are followed,
// padding is left out.
class ContentReader
{
public:
    // `fd` stays the caller's.  Needs data_offset of the sizes only.
    ContentReader(int fd, std::int64_t data_offset) : records_(fd, Pointers::follow, data_offset) {}
    ContentReader(std::string_view file, std::int64_t data_offset)
        : records_(file, Pointers::follow, data_offset)
    {
    }

    // N (a line, or the end of one) or L (the line goes on); nullopt at the end of
    // the content.  Fault::malformed: it ends without one.
    Result<std::optional<Record>> next();

    // Adds whole lines with `line_end` behind each until `limit` bytes are passed
    // or the content is at its end (then false).  A line that was stored in parts
    // may be left unfinished and goes on with the next call.
    Result<bool> read_text(std::string& out, std::size_t limit, std::string_view line_end = "\n");

private:
    RecordStream records_;
    bool at_end_ = false;
};

} // namespace bulkhead
