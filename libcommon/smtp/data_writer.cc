#include "smtp/data_writer.h"

#include <algorithm>
#include <cstring>

namespace bulkhead
{

namespace
{

bool has(std::string_view text, char c)
{
    return !text.empty() && std::memchr(text.data(), c, text.size()) != nullptr;
}

bool is_unsafe(char c)
{
    return c == '\r' || c == '\n';
}

void append_clean(std::string& out, std::string_view text)
{
    const auto from = static_cast<std::ptrdiff_t>(out.size());
    out.append(text);
    if (has(text, '\r') || has(text, '\n'))
        std::replace_if(out.begin() + from, out.end(), is_unsafe, ' ');
}

} // namespace

// Two is the least that a broken line can make progress with: SPACE and a byte.
DataWriter::DataWriter(std::size_t line_limit)
    : line_limit_(line_limit == 0 ? 0 : std::max<std::size_t>(line_limit, 2))
{
}

void DataWriter::line(std::string& out, std::string_view text, bool complete)
{
    // Before dots are looked at: the next host may leave it out too and find one there.
    std::string without_nul;
    if (has(text, '\0')) {
        without_nul = text;
        std::erase(without_nul, '\0');
        text = without_nul;
    }
    if (!inside_line_ && text.starts_with('.'))
        out.push_back('.');
    inside_line_ = inside_line_ || !text.empty();
    while (line_limit_ != 0 && column_ + text.size() > line_limit_) {
        const std::size_t room = line_limit_ - column_;
        append_clean(out, text.substr(0, room));
        text.remove_prefix(room);
        out.append("\r\n ");
        column_ = 1;
        broke_a_line_ = true;
    }
    append_clean(out, text);
    column_ += text.size();
    if (!complete)
        return;
    out.append("\r\n");
    column_ = 0;
    inside_line_ = false;
}

void DataWriter::finish(std::string& out)
{
    if (inside_line_)
        line(out, {});
    out.append(".\r\n");
}

} // namespace bulkhead
