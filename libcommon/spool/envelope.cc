#include "spool/envelope.h"

#include "base/text.h"
#include "spool/io.h"

#include <fmt/format.h>

#include <utility>

namespace bulkhead
{

namespace
{

// Parts of a file; the same byte may mean different things in two of them.
enum class Segment { envelope, extracted };

// What a message may have where, see the queue file format, "Record types".
constexpr std::string_view envelope_types = "MCTcFILSDRO/WVA>K<ion";
constexpr std::string_view extracted_types = "EDRO/PreAFIL>Kon";
constexpr std::string_view content_types = "LNw";

constexpr std::size_t usual_attributes = 16; // of mail that came by SMTP

bool is_one_of(std::string_view types, RecordType type)
{
    return types.find(static_cast<char>(type)) != types.npos;
}

Error unexpected(const FileRecord& record, std::string_view where)
{
    return {Fault::malformed,
            fmt::format("record type {} at offset {} does not belong in the {}",
                        printable(std::string(1, static_cast<char>(record.type))), record.offset, where)};
}

unsigned small_number(std::string_view value)
{
    const auto number = parse_unsigned(value);
    return number && *number <= 0xffff ? static_cast<unsigned>(*number) : 0;
}

// Reads through a file once and fills an Envelope.
class EnvelopeParser
{
public:
    EnvelopeParser(RecordStream& records, const EnvelopeOptions& options)
        : records_(records), options_(options)
    {
        records_.read_blocks_of(options.block_size);
    }

    Result<Envelope> whole();
    Result<RecipientBatch> more(const MessageSizes& sizes, RecipientCursor from);

private:
    Result<FileRecord> next();
    Result<> size_record();
    Result<> segment(Segment segment);
    Result<> over_content();
    Result<> through_content();
    Result<> take(const FileRecord& record);
    Result<> arrival_time(std::string_view data);
    Result<> warn_time(const FileRecord& record);
    Result<> sender(const FileRecord& record);
    Result<> attribute(const FileRecord& record);
    Result<> recipient(const FileRecord& record, RecipientState state);
    void pending_starts(const FileRecord& record);
    Result<> check() const;

    RecordStream& records_;
    EnvelopeOptions options_;
    Envelope envelope_;
    Segment segment_ = Segment::envelope;
    Recipient pending_;              // what is known of the next recipient
    std::int64_t pending_start_ = 0; // its first record
    bool needs_scan_ = false;        // the C record does not say where the content is
    bool only_recipients_ = false;
    bool has_size_ = false;
    bool has_arrival_ = false;
    bool has_sender_ = false;
    bool full_ = false; // only_recipients_, and there was one more than wanted
};

Result<Envelope> EnvelopeParser::whole()
{
    TRY_VOID(size_record());
    TRY_VOID(segment(Segment::envelope));
    TRY_VOID(needs_scan_ ? through_content() : over_content());
    TRY_VOID(segment(Segment::extracted));
    TRY_VOID(check());
    if (envelope_.create_time == 0)
        envelope_.create_time = envelope_.arrival.seconds;
    if (envelope_.sender.empty())
        envelope_.verp.clear();
    return std::move(envelope_);
}

Result<RecipientBatch> EnvelopeParser::more(const MessageSizes& sizes, RecipientCursor from)
{
    envelope_.sizes = sizes;
    has_sender_ = true;
    only_recipients_ = true;
    records_.seek(from.offset);
    records_.count_jumps_from(from.backward_jumps);
    if (!from.extracted) {
        TRY_VOID(segment(Segment::envelope));
        if (!full_)
            TRY_VOID(over_content());
    }
    if (!full_)
        TRY_VOID(segment(Segment::extracted));
    return RecipientBatch{std::move(envelope_.recipients), envelope_.recipients_done, envelope_.next};
}

Result<FileRecord> EnvelopeParser::next()
{
    TRY(const auto record, records_.next());
    if (!record)
        return Error{Fault::malformed, "the file has no end record"};
    return *record;
}

// First of all records; a submission need not have one, and what it says there
// is trusted only as far as the file bears it out.
Result<> EnvelopeParser::size_record()
{
    TRY(const FileRecord first, next());
    if (!first.is(RecordType::size)) {
        if (!options_.submission)
            return Error{Fault::malformed, "the file does not start with a size record"};
        needs_scan_ = true;
        records_.seek(0);
        return {};
    }
    auto parsed = parse_size_record(first.data);
    if (!parsed && !options_.submission)
        return parsed.error();
    needs_scan_ = !parsed || parsed->needs_scan;
    if (parsed)
        envelope_.sizes = parsed->sizes;
    has_size_ = true;
    return {};
}

// To the M of the envelope, or to the E of the file.
Result<> EnvelopeParser::segment(Segment segment)
{
    segment_ = segment;
    pending_start_ = 0;
    const bool first = segment == Segment::envelope;
    const std::string_view allowed = first ? envelope_types : extracted_types;
    const RecordType last = first ? RecordType::message_start : RecordType::end;
    for (;;) {
        TRY(const FileRecord record, next());
        if (!is_one_of(allowed, record.type))
            return unexpected(record, first ? "envelope" : "extracted segment");
        if (record.is(last))
            return {};
        TRY_VOID(take(record));
        if (full_)
            return {};
    }
}

// Straight to the X record.
Result<> EnvelopeParser::over_content()
{
    const MessageSizes& sizes = envelope_.sizes;
    if (records_.offset() != sizes.data_offset)
        return Error{Fault::malformed, fmt::format("the content starts at offset {}, the size record says {}",
                                                   records_.offset(), sizes.data_offset)};
    records_.seek(sizes.data_offset + sizes.content_bytes);
    TRY(const FileRecord record, next());
    if (!record.is(RecordType::extracted_start))
        return unexpected(record, "end of the content");
    return {};
}

// The same when the size record is of no help.
Result<> EnvelopeParser::through_content()
{
    envelope_.sizes.data_offset = records_.offset();
    for (;;) {
        TRY(const FileRecord record, next());
        if (record.is(RecordType::extracted_start)) {
            envelope_.sizes.content_bytes = record.offset - envelope_.sizes.data_offset;
            envelope_.sizes.content_length = envelope_.sizes.content_bytes;
            return {};
        }
        if (!is_one_of(content_types, record.type))
            return unexpected(record, "content");
    }
}

Result<> EnvelopeParser::take(const FileRecord& record)
{
    switch (record.type) {
    case RecordType::arrival_time:
        return arrival_time(record.data);
    case RecordType::create_time:
        envelope_.create_time = parse_fixed_number(record.data).value_or(0);
        return {};
    case RecordType::full_name:
        if (envelope_.full_name.empty())
            envelope_.full_name = record.data;
        return {};
    case RecordType::inspect:
        envelope_.inspect_transport = record.data;
        return {};
    case RecordType::filter:
        envelope_.content_filter = record.data;
        return {};
    case RecordType::redirect:
        envelope_.redirect = record.data;
        return {};
    case RecordType::verp:
        envelope_.verp = record.data.size() == 2 ? record.data : std::string_view{};
        return {};
    case RecordType::warn_time:
        return warn_time(record);
    case RecordType::sender:
        return sender(record);
    case RecordType::attribute:
        return attribute(record);
    case RecordType::dsn_ret:
        envelope_.ret_flags = small_number(record.data);
        return {};
    case RecordType::dsn_envid:
        envelope_.envelope_id = record.data;
        return {};
    case RecordType::dsn_orig_recipient:
        pending_starts(record);
        pending_.dsn_original = record.data;
        return {};
    case RecordType::dsn_notify:
        pending_starts(record);
        pending_.notify = small_number(record.data);
        return {};
    case RecordType::original_recipient:
        pending_starts(record);
        pending_.original = record.data;
        return {};
    case RecordType::recipient:
        return recipient(record, RecipientState::to_do);
    case RecordType::recipient_done:
        return recipient(record, RecipientState::done);
    case RecordType::recipient_cancelled:
        return recipient(record, RecipientState::cancelled);
    default: // C again, K, r, e, P: nothing to us
        return {};
    }
}

// "seconds microseconds"; old submissions have the seconds only.  The first wins.
Result<> EnvelopeParser::arrival_time(std::string_view data)
{
    if (std::exchange(has_arrival_, true))
        return {};
    const auto parts = split(data, " ");
    const auto seconds = parts.empty() ? std::nullopt : parse_unsigned(parts[0]);
    const auto microseconds = parts.size() < 2 ? std::optional<std::uint64_t>(0) : parse_unsigned(parts[1]);
    if (!seconds || *seconds > INT64_MAX || !microseconds || *microseconds > 999'999)
        return Error{Fault::malformed, fmt::format("bad arrival time: {}", printable(data.substr(0, 100)))};
    envelope_.arrival = {static_cast<std::int64_t>(*seconds), static_cast<std::int32_t>(*microseconds)};
    return {};
}

Result<> EnvelopeParser::warn_time(const FileRecord& record)
{
    const auto time = parse_fixed_number(record.data);
    if (!time)
        return Error{Fault::malformed, fmt::format("bad warn time at offset {}", record.offset)};
    envelope_.warn_time = *time;
    envelope_.warn_offset = record.offset;
    return {};
}

Result<> EnvelopeParser::sender(const FileRecord& record)
{
    if (std::exchange(has_sender_, true))
        return Error{Fault::malformed, fmt::format("second sender at offset {}", record.offset)};
    envelope_.sender = record.data;
    return {};
}

// Names that we do not know are kept; what has no name or number is left out, as
// it always was.
Result<> EnvelopeParser::attribute(const FileRecord& record)
{
    const auto named = parse_attribute(record.data);
    if (!named)
        return {};
    const auto [name, value] = *named;
    if (name == "dsn_orig_rcpt") {
        pending_starts(record);
        pending_.dsn_original = value;
    } else if (name == "notify_flags") {
        pending_starts(record);
        pending_.notify = small_number(value);
    } else if (only_recipients_) {
        return {};
    } else if (name == "create_time") {
        envelope_.create_time = parse_fixed_number(value).value_or(0);
    } else if (name == "envelope_id") {
        envelope_.envelope_id = value;
    } else if (name == "ret_flags") {
        envelope_.ret_flags = small_number(value);
    } else if (name == "encoding") {
        envelope_.encoding = value;
    } else if (name == "log_ident") {
        envelope_.log_ident = value;
    } else if (name == "rewrite_context") {
        envelope_.rewrite_context = value;
    } else if (name == "trace_flags") {
        const unsigned flags = small_number(value);
        envelope_.trace_flags |= flags;
        if ((flags & trace_flag::record) != 0)
            envelope_.trace_flags_offset = record.offset;
    } else if (!options_.with_attributes) {
        return {};
    } else if (envelope_.attributes.size() == max_named_attributes) {
        return Error{Fault::malformed, "the file has too many attributes"};
    } else {
        if (envelope_.attributes.empty())
            envelope_.attributes.reserve(usual_attributes);
        envelope_.attributes.emplace_back(std::string(name), std::string(value));
    }
    return {};
}

void EnvelopeParser::pending_starts(const FileRecord& record)
{
    if (pending_start_ == 0)
        pending_start_ = record.offset;
}

Result<> EnvelopeParser::recipient(const FileRecord& record, RecipientState state)
{
    if (!has_sender_)
        return Error{Fault::malformed,
                     fmt::format("recipient before the sender at offset {}", record.offset)};
    pending_starts(record);
    const std::int64_t start = std::exchange(pending_start_, 0);
    Recipient recipient = std::exchange(pending_, {});
    const bool to_do = state == RecipientState::to_do;
    if (!to_do && !envelope_.next)
        ++envelope_.recipients_done;
    if (!to_do && !options_.with_done)
        return {};
    if (envelope_.next || envelope_.recipients.size() >= options_.max_recipients) {
        full_ = only_recipients_;
        if (!envelope_.next)
            envelope_.next = {start, segment_ == Segment::extracted, records_.backward_jumps()};
        if (to_do)
            ++envelope_.recipients_unread;
        return {};
    }
    recipient.offset = record.offset;
    recipient.address = record.data;
    recipient.state = state;
    envelope_.recipients.push_back(std::move(recipient));
    return {};
}

Result<> EnvelopeParser::check() const
{
    if (!has_arrival_)
        return Error{Fault::malformed, "the file has no arrival time"};
    if (!has_sender_)
        return Error{Fault::malformed, "the file has no sender"};
    return {};
}

Result<Envelope> envelope_from(RecordStream records, const EnvelopeOptions& options)
{
    return EnvelopeParser(records, options).whole();
}

Result<RecipientBatch> recipients_from(RecordStream records, const MessageSizes& sizes, RecipientCursor from,
                                       std::size_t max_recipients)
{
    EnvelopeOptions options;
    options.max_recipients = max_recipients;
    return EnvelopeParser(records, options).more(sizes, from);
}

} // namespace

std::string_view Envelope::attribute(std::string_view name) const
{
    for (auto entry = attributes.rbegin(); entry != attributes.rend(); ++entry)
        if (entry->name == name)
            return entry->value;
    return {};
}

Result<Envelope> read_envelope(int fd, const EnvelopeOptions& options)
{
    return envelope_from(RecordStream(fd), options);
}

Result<Envelope> parse_envelope(std::string_view file, const EnvelopeOptions& options)
{
    return envelope_from(RecordStream(file), options);
}

Result<Envelope> read_envelope(int fd, std::int64_t begin, std::size_t size, const EnvelopeOptions& options)
{
    std::string image(size, '\0');
    TRY(const std::size_t got, read_at(fd, image.data(), image.size(), begin));
    return parse_envelope(std::string_view(image).substr(0, got), options);
}

Result<RecipientBatch> read_recipients(int fd, const MessageSizes& sizes, RecipientCursor from,
                                       std::size_t max_recipients)
{
    return recipients_from(RecordStream(fd), sizes, from, max_recipients);
}

Result<RecipientBatch> parse_recipients(std::string_view file, const MessageSizes& sizes,
                                        RecipientCursor from, std::size_t max_recipients)
{
    return recipients_from(RecordStream(file), sizes, from, max_recipients);
}

} // namespace bulkhead
