#include "message_copy.h"

#include "base/clock.h"
#include "base/text.h"
#include "mail/date.h"
#include "mail/header.h"
#include "os/files.h"
#include "spool/content_reader.h"

#include <algorithm>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr std::size_t block_size = 64 * 1024;
constexpr std::size_t max_header_bytes = 4 * 1024 * 1024; // looked through for Delivered-To:
constexpr std::size_t max_stops = 1000;                   // Delivered-To: headers remembered

// Collects blocks, and keeps within the room that is left.
class BlockWriter
{
public:
    BlockWriter(int fd, std::int64_t room) : fd_(fd), room_(room) {}

    std::string& block() { return block_; }
    Result<> write_some() { return block_.size() >= block_size ? write_rest() : Result<>(); }
    Result<> write_rest()
    {
        room_ -= static_cast<std::int64_t>(block_.size());
        if (room_ < 0)
            return Error{Fault::limit, system_error("error writing message", EFBIG).context, EFBIG};
        TRY_VOID(write_all(fd_, block_));
        block_.clear();
        return {};
    }

private:
    int fd_;
    std::int64_t room_;
    std::string block_;
};

} // namespace

Result<> MessageCopy::write_to(int fd, Form form, std::int64_t room) const
{
    BlockWriter out(fd, room);
    if (form == Form::mbox)
        out.block() = fmt::format("From {}  {}\n", sender.empty() ? "MAILER-DAEMON" : sender,
                                  asctime_date(WallTime::now().seconds));
    out.block() += headers;
    ContentReader content(queue_file, data_offset);
    bool line_start = true;
    for (;;) {
        TRY(const auto record, content.next());
        if (!record)
            break;
        if (form == Form::mbox && line_start && record->data.starts_with("From "))
            out.block() += '>';
        out.block() += record->data;
        line_start = record->is(RecordType::text);
        if (line_start)
            out.block() += '\n';
        TRY_VOID(out.write_some());
    }
    if (!line_start)
        out.block() += '\n';
    if (form == Form::mbox)
        out.block() += '\n';
    return out.write_rest();
}

std::string delivery_headers(std::string_view sender, std::string_view recipient, std::string_view original)
{
    std::string headers = fmt::format("Return-Path: <{}>\n", printable(sender, true));
    if (!original.empty() && !equals_ignoring_case(original, recipient))
        headers += fmt::format("X-Original-To: {}\n", printable(original, true));
    headers += fmt::format("Delivered-To: {}\n", printable(recipient, true));
    return headers;
}

Result<std::vector<std::string>> delivered_to(int queue_file, std::int64_t data_offset)
{
    std::vector<std::string> stops;
    const auto take = [&](HeaderReader& headers) {
        const auto field = headers.take();
        if (field && field->is("Delivered-To") && stops.size() < max_stops)
            stops.push_back(lower(trim(unfold(field->body()))));
    };
    ContentReader content(queue_file, data_offset);
    HeaderReader headers;
    for (std::size_t bytes = 0; bytes < max_header_bytes;) {
        TRY(const auto record, content.next());
        if (!record)
            break;
        bytes += record->data.size() + 1;
        const auto line = headers.add(record->data, record->is(RecordType::text));
        take(headers);
        if (line != HeaderReader::Line::header)
            return stops;
    }
    headers.finish();
    take(headers);
    return stops;
}

} // namespace bulkhead
