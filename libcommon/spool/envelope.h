// The envelope of a queue file as one value: sender, recipients, times, sizes and
// attributes, from the head of the file and from behind the content.  Whatever
// damage a file has is found here, except in its text.
#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "spool/record_stream.h"
#include "spool/size_record.h"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

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
    int backward_jumps = 0;

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
    bool submission = false;     // a file of maildrop: no C record, sizes are found by reading it
    bool with_attributes = true; // keep those that have no field of their own
    std::size_t block_size = RecordStream::block_size; // bytes read at a time
};

inline constexpr std::size_t max_named_attributes = 1000;

// The whole envelope, from the head of the file and from behind the content.
// One read for files up to 64 KiB; in larger ones the content is jumped over.
// Fault::malformed (the file belongs in corrupt/): no C, T, S or E, a record that
// does not belong where it stands, bad numbers or lengths.  Fault::io: the disk.
Result<Envelope> read_envelope(int fd, const EnvelopeOptions& options = {});
Result<Envelope> parse_envelope(std::string_view file, const EnvelopeOptions& options = {});
// The same of `size` bytes from `begin` on: a small message, in the middle of a larger file.
Result<Envelope> read_envelope(int fd, std::int64_t begin, std::size_t size,
                               const EnvelopeOptions& options = {});

// The next recipients of a message that has more than are kept in memory.
struct RecipientBatch {
    std::vector<Recipient> recipients;
    std::size_t recipients_done = 0;
    RecipientCursor next;
};
Result<RecipientBatch> read_recipients(int fd, const MessageSizes& sizes, RecipientCursor from,
                                       std::size_t max_recipients);
Result<RecipientBatch> parse_recipients(std::string_view file, const MessageSizes& sizes,
                                        RecipientCursor from, std::size_t max_recipients);

} // namespace bulkhead
