// The C record at the start of a queue file: six numbers in 95 bytes, written as
// zeros first and filled in when the message is complete.
#pragma once

#include "base/dsn_flags.h"
#include "base/result.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace bulkhead
{

// Bits of MessageSizes::qmgr_flags.
namespace qmgr_flag
{
inline constexpr unsigned mixed_recipients = 1; // recipients stand between other records
inline constexpr unsigned notify_shift = 1;     // NOTIFY mask used by any recipient: mask << 1
inline constexpr unsigned known = 0x1f;
} // namespace qmgr_flag

// Values of the attribute ret_flags (RFC 3461 section 4.3).
namespace dsn_ret
{
inline constexpr unsigned full = 1;
inline constexpr unsigned headers = 2;
} // namespace dsn_ret

// Bits of MessageSizes::send_options.
namespace send_option
{
inline constexpr unsigned smtputf8_requested = 1;
inline constexpr unsigned smtputf8_header = 2;
inline constexpr unsigned smtputf8_sender = 4;
inline constexpr unsigned smtputf8_recipient = 8;
inline constexpr unsigned tls_not_required = 16;
inline constexpr unsigned require_tls = 32;
inline constexpr unsigned known = 0x3f;
} // namespace send_option

struct MessageSizes {
    std::int64_t content_bytes = 0;  // offset of X minus data_offset
    std::int64_t data_offset = 0;    // first record after M
    std::int64_t recipients = 0;     // exact in a fresh file, later an upper bound
    unsigned qmgr_flags = 0;         // qmgr_flag bits
    std::int64_t content_length = 0; // the message size that logs and mailq show
    unsigned send_options = 0;       // send_option bits; unknown ones are masked when read

    bool operator==(const MessageSizes&) const = default;
};

// The whole record, type and length included, always stands at offset 0.
inline constexpr std::size_t size_record_bytes = 97;

// Adds the C record with these values.  A writer adds it with zeros and patches
// it at offset 0 in the end, or knows all values beforehand.
void append_size_record(std::string& out, const MessageSizes& sizes);

// The payload of a C record.  Files of older programs have three fields, or one
// (`needs_scan`: then only content_bytes is known and the rest is found by
// reading the file).  Fault::malformed: no numbers, a size or an offset that is
// not positive, unknown qmgr flags.
struct ParsedSizes {
    MessageSizes sizes;
    bool needs_scan = false;
};
Result<ParsedSizes> parse_size_record(std::string_view data);

} // namespace bulkhead
