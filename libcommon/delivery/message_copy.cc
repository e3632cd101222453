#include "delivery/message_copy.h"

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

// One line of content, or a part of one; at its start may stand what must be quoted.
void append_line(std::string& block, std::string_view text, bool line_start, const CopyForm& form)
{
    if (line_start && form.quote_from && text.starts_with("From "))
        block += '>';
    if (line_start && form.quote_dots && text.starts_with('.'))
        block += '.';
    block += text;
}

// Our own lines are made with LF.
std::string with_line_ends(std::string_view lines, std::string_view eol)
{
    std::string text;
    for (const char c : lines)
        c == '\n' ? text.append(eol) : text.append(1, c);
    return text;
}

} // namespace

Result<> MessageCopy::write_to(const Sink& sink, const CopyForm& form) const
{
    std::string block;
    if (form.from_line)
        block = with_line_ends(fmt::format("From {}  {}\n", sender.empty() ? "MAILER-DAEMON" : sender,
                                           asctime_date(WallTime::now().seconds)),
                               form.eol);
    block += with_line_ends(headers, form.eol);
    ContentReader content(queue_file, data_offset);
    bool line_start = true;
    for (;;) {
        TRY(const auto record, content.next());
        if (!record)
            break;
        append_line(block, record->data, line_start, form);
        line_start = record->is(RecordType::text);
        if (line_start)
            block += form.eol;
        if (block.size() >= block_size) {
            TRY_VOID(sink(block));
            block.clear();
        }
    }
    if (!line_start)
        block += form.eol;
    if (form.blank_line_at_end)
        block += form.eol;
    return sink(block);
}

Result<> MessageCopy::write_to(int fd, const CopyForm& form, std::int64_t room) const
{
    const auto write = [&](std::string_view block) -> Result<> {
        room -= static_cast<std::int64_t>(block.size());
        if (room < 0)
            return Error{Fault::limit, system_error("error writing message", EFBIG).context, EFBIG};
        return write_all(fd, block);
    };
    return write_to(write, form);
}

std::string DeliveryHeaders::text() const
{
    std::string lines;
    if (return_path)
        lines += fmt::format("Return-Path: <{}>\n", printable(*return_path, true));
    if (!original.empty())
        lines += fmt::format("X-Original-To: {}\n", printable(original, true));
    if (!delivered_to.empty())
        lines += fmt::format("Delivered-To: {}\n", printable(delivered_to, true));
    return lines;
}

std::string delivery_headers(std::string_view sender, std::string_view recipient, std::string_view original)
{
    DeliveryHeaders headers;
    headers.return_path = sender;
    headers.original = original;
    headers.delivered_to = recipient;
    return headers.text();
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
