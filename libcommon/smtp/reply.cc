#include "smtp/reply.h"

#include "base/text.h"
#include "mail/dsn.h"

#include <algorithm>
#include <utility>

namespace bulkhead
{

namespace
{

constexpr std::size_t wire_limit = 512; // bytes of a reply line with its end (RFC 5321, 4.5.3.1.5)

// How much of a text that is too long comes into one line: up to a blank, or at least no half character.
std::size_t piece_of(std::string_view text, std::size_t room)
{
    if (const auto blank = text.substr(0, room).rfind(' '); blank != text.npos && blank > 0)
        return blank + 1;
    std::size_t size = room;
    while (size > room - 4 && (static_cast<unsigned char>(text[size]) & 0xc0U) == 0x80U)
        --size;
    return size;
}

} // namespace

Reply::Reply(int reply_code, std::string status, std::string text) : code(reply_code), dsn(std::move(status))
{
    lines.push_back(std::move(text));
}

Reply::Reply(int reply_code, std::string status, std::vector<std::string> text_lines)
    : code(reply_code), dsn(std::move(status)), lines(std::move(text_lines))
{
}

Reply::Reply(int reply_code, std::string text) : Reply(reply_code, std::string{}, std::move(text)) {}

Reply::Reply(int reply_code, std::vector<std::string> text_lines)
    : Reply(reply_code, std::string{}, std::move(text_lines))
{
}

std::string Reply::wire() const
{
    std::string out;
    append_wire(out);
    return out;
}

void Reply::append_wire(std::string& out) const
{
    const std::string number = std::to_string(code);
    const std::string status = dsn.empty() ? std::string{} : dsn + ' ';
    const auto append = [&](std::string_view text, bool last) {
        out.append(number).append(last ? " " : "-").append(status).append(text).append("\r\n");
    };
    const std::size_t count = std::max<std::size_t>(lines.size(), 1);
    const std::size_t room = wire_limit - number.size() - 1 - status.size() - 2;
    for (std::size_t i = 0; i < count; ++i) {
        const bool last = i + 1 == count;
        // What came from outside reaches no terminal as control characters.
        const std::string clean = i < lines.size() ? printable(lines[i], true) : std::string();
        std::string_view text = clean;
        while (text.size() > room && code != 334) { // challenges have a limit of their own (RFC 4954, 4)
            const std::size_t size = piece_of(text, room);
            append(text.substr(0, size), false);
            text.remove_prefix(size);
        }
        append(text, last);
    }
}

std::string Reply::summary() const
{
    std::string out = std::to_string(code);
    if (!dsn.empty())
        out.append(" ").append(dsn);
    for (const std::string& line : lines)
        out.append(" ").append(line);
    return out;
}

Result<bool> ReplyParser::add_line(std::string_view line)
{
    if (line.ends_with('\r'))
        line.remove_suffix(1);
    const bool number =
        line.size() >= 3 && line[0] >= '2' && line[0] <= '5' && is_digit(line[1]) && is_digit(line[2]);
    const char separator = line.size() > 3 ? line[3] : ' ';
    if (!number || (!is_blank(separator) && separator != '-')) {
        *this = ReplyParser(limits_);
        return Error{Fault::malformed, "no SMTP reply: " + printable(line.substr(0, 100))};
    }
    if (++count_ > limits_.lines) {
        *this = ReplyParser(limits_);
        return Error{Fault::limit, "reply has too many lines"};
    }

    // Should the codes differ, the last line's counts (RFC 5321, 4.2.1).
    reply_.code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
    const auto raw = line.substr(0, limits_.line_length);
    if (reply_.text.size() + raw.size() <= limits_.total) {
        const auto text = raw.substr(std::min<std::size_t>(4, raw.size()));
        const auto status = split_status(text).status;
        if (reply_.dsn.empty() && status && status->status_class == line[0] - '0')
            reply_.dsn = status->text();
        reply_.lines.emplace_back(text);
        reply_.text.append(reply_.text.empty() ? "" : " ").append(printable(raw, true));
    }
    return separator != '-';
}

PeerReply ReplyParser::take()
{
    count_ = 0;
    return std::exchange(reply_, {});
}

} // namespace bulkhead
