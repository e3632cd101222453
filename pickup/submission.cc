#include "submission.h"

#include "base/text.h"
#include "mail/date.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace bulkhead
{

namespace
{

// What sendmail may say about its message; queue files may say more.
constexpr std::array<std::string_view, 5> from_users = {"encoding", "envelope_id", "ret_flags",
                                                        "rewrite_context", "trace_flags"};

Error malformed(const FileRecord& record)
{
    return {Fault::malformed, fmt::format("record type {} at offset {} does not belong there",
                                          static_cast<int>(record.type), record.offset)};
}

} // namespace

Result<FileRecord> Submission::next()
{
    TRY(const auto record, records_.next());
    if (!record)
        return Error{Fault::malformed, "missing end record"};
    return *record;
}

Result<> Submission::take_attribute(const FileRecord& record, std::string& out, bool extracted)
{
    const auto attribute = parse_attribute(record.data);
    if (!attribute)
        return malformed(record);
    const auto [name, value] = *attribute;
    if (name == "notify_flags" || name == "dsn_orig_rcpt") {
        append_record(of_recipient_, record.type, record.data);
        return {};
    }
    const bool known = facts_.queued_before || std::ranges::find(from_users, name) != from_users.end();
    if (extracted || !known || name == "create_time")
        return {};
    if (name == "rewrite_context")
        local_ = value != "remote";
    append_record(out, record.type, record.data);
    return {};
}

void Submission::take_recipient(const FileRecord& record, std::string& out)
{
    utf8_addresses_ = utf8_addresses_ || has_8bit(record.data);
    out += of_recipient_;
    of_recipient_.clear();
    append_record(out, record.type, record.data);
}

Result<> Submission::take_envelope(const FileRecord& record, std::string& out)
{
    switch (static_cast<char>(record.type)) {
    case 'T':
    case 'F':
    case 'V':
        append_record(out, record.type, record.data);
        return {};
    case 'S':
        if (has_sender_)
            return malformed(record);
        has_sender_ = true;
        sender_ = record.data;
        utf8_addresses_ = utf8_addresses_ || has_8bit(record.data);
        append_record(out, record.type, record.data);
        return {};
    case 'A':
        return take_attribute(record, out, false);
    case 'O':
        append_record(of_recipient_, record.type, record.data);
        return {};
    case 'R':
        if (!has_sender_)
            return malformed(record);
        take_recipient(record, out);
        return {};
    case 'D': // this one has its mail, or was taken off the list
    case '/':
        of_recipient_.clear();
        return {};
    case 'C': // sizes, filters and times are made anew
    case 'L':
    case 'I':
    case '>':
    case 'W':
    case 'K':
    case 'r':
    case 'e':
    case 'P':
        return {};
    default:
        return malformed(record);
    }
}

Result<> Submission::read_envelope(std::string& out)
{
    for (;;) {
        TRY(const FileRecord record, next());
        if (!record.is(RecordType::message_start)) {
            TRY_VOID(take_envelope(record, out));
            continue;
        }
        if (!has_sender_)
            return Error{Fault::malformed, "no sender"};
        if (!facts_.content_filter.empty())
            append_record(out, RecordType::filter, facts_.content_filter);
        return {};
    }
}

void Submission::begin_content(std::string& out, std::string_view queue_id) const
{
    append_record(out, RecordType::message_start, {});
    append_text(out, fmt::format("Received: by {} ({}, from userid {})", facts_.myhostname, facts_.mail_name,
                                 facts_.owner));
    append_text(out, fmt::format("\tid {}; {}", queue_id, rfc5322_date(facts_.modified)));
}

Result<bool> Submission::read_content(std::string& out, std::size_t limit)
{
    while (out.size() < limit) {
        TRY(const FileRecord record, next());
        const char type = static_cast<char>(record.type);
        if (stage_ == Stage::content) {
            if (type != 'N' && type != 'L' && type != 'X' && type != 'w')
                return malformed(record);
            if (type == 'X')
                stage_ = Stage::extracted;
            if (type != 'w')
                append_record(out, record.type, record.data);
            continue;
        }
        switch (type) {
        case 'E':
            append_record(out, record.type, {});
            return false;
        case 'A':
            TRY_VOID(take_attribute(record, out, true));
            break;
        case 'O':
            append_record(of_recipient_, record.type, record.data);
            break;
        case 'R':
            take_recipient(record, out);
            break;
        case 'D':
        case '/':
            of_recipient_.clear();
            break;
        case 'L':
        case '>':
        case 'r':
        case 'e':
        case 'P':
        case 'I':
        case 'F':
        case 'K':
            break;
        default:
            return malformed(record);
        }
    }
    return true;
}

} // namespace bulkhead
