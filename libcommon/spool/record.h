// The record codec of queue files and of the streams that feed cleanup: bytes to
// records and back.  No files here, no order of records: see queue_file.h.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead
{

// The type byte of a record.  Bytes that are not named here reach the caller as
// they are: who reads a segment decides what it allows.
enum class RecordType : unsigned char {
    size = 'C',         // first record of a queue file, rewritten in place; size_record.h
    arrival_time = 'T', // "sec usec"
    create_time = 'c',  // pseudo type, on disk an attribute
    full_name = 'F',
    inspect = 'I',
    filter = 'L',    // in envelope and extracted segment: transport:nexthop
    text_part = 'L', // in the content segment: the line goes on in the next record
    sender = 'S',
    recipient_done = 'D',
    recipient = 'R',
    original_recipient = 'O',
    recipient_cancelled = '/',
    warn_time = 'W', // "%15ld", rewritten in place
    attribute = 'A', // "name=value"
    killed = 'K',    // disabled in place
    verp = 'V',
    redirect = '>',
    message_start = 'M', // ends the envelope segment
    text = 'N',          // a line, or the end of one
    padding = 'w',
    extracted_start = 'X', // ends the content segment
    return_receipt = 'r',
    errors_to = 'e',
    priority = 'P',
    pointer = 'p', // "%15ld": go on at this offset, 0 = no jump
    end = 'E',
    cleanup_flags = 'f', // f, d, m: only between smtpd or pickup and cleanup, never on disk
    data_delay = 'd',
    milter_count = 'm',
    dsn_ret = '<', // < i o n: pseudo types of DSN attributes
    dsn_envid = 'i',
    dsn_orig_recipient = 'o',
    dsn_notify = 'n',
};

// One record.  The data is a view into what it was read from.
struct Record {
    RecordType type{};
    std::string_view data;

    bool is(RecordType wanted) const { return type == wanted; }
};

// A text line longer than this is cut into L records of exactly this size.
inline constexpr std::size_t max_text_record = 2048;

// Payload of p and W records: a number right-aligned in 15 columns.
inline constexpr std::size_t fixed_number_width = 15;

// Records from bytes in memory.
class RecordReader
{
public:
    // `bytes` must outlive the reader and the records that it gives.
    explicit RecordReader(std::string_view bytes) : all_(bytes), rest_(bytes) {}

    // The next record; nullopt at a clean end, Fault::malformed for a cut or
    // overlong record.
    Result<std::optional<Record>> next();

    // Offset of the record that next() would read.
    std::size_t offset() const { return all_.size() - rest_.size(); }

private:
    Result<std::size_t> length();

    std::string_view all_;
    std::string_view rest_;
};

// What stands at the start of `bytes`: a whole record and its encoded size, or
// the news that more bytes are needed.  For readers that get their bytes in
// blocks.  Fault::malformed: an overlong length.
struct RecordPeek {
    Record record;
    std::size_t encoded = 0; // 0: not complete
    std::size_t needed = 0;  // when not complete: at least this many bytes are
};
Result<RecordPeek> peek_record(std::string_view bytes);

// Adds one record.  Data of 2^28 bytes or more breaks ensure().
void append_record(std::string& out, RecordType type, std::string_view data);

// A record "name=value".
void append_attribute(std::string& out, std::string_view name, std::string_view value);

// One line of content, without its line end: N, or as many L of 2048 bytes as it
// needs and an N with the rest.
void append_text(std::string& out, std::string_view line);

// The last line of a text that has no line end: L and an empty N, as other
// writers of this format leave it.
void append_unfinished_text(std::string& out, std::string_view line);

// A p or W record, "%15ld".
void append_fixed_number(std::string& out, RecordType type, std::int64_t number);

// "%15ld" of a p or W record: blanks, a sign, digits.  nullopt for anything else.
std::optional<std::int64_t> parse_fixed_number(std::string_view data);

// "name=value" apart; nullopt without '=' or without a name.
struct AttributeView {
    std::string_view name;
    std::string_view value;
};
std::optional<AttributeView> parse_attribute(std::string_view data);

// Size of a record on disk: type, length bytes, data.
std::size_t encoded_size(std::size_t data_size);

} // namespace bulkhead
