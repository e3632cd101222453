#include "mail/header.h"

#include "base/text.h"

#include <algorithm>
#include <utility>

namespace bulkhead
{

std::string_view header_field_name(std::string_view line)
{
    const auto name_byte = [](char c) { return c > ' ' && c <= '~' && c != ':'; };
    const auto end = std::ranges::find_if_not(line, name_byte);
    const auto colon = std::find_if_not(end, line.end(), is_blank);
    if (end == line.begin() || colon == line.end() || *colon != ':')
        return {};
    return line.substr(0, static_cast<std::size_t>(end - line.begin()));
}

std::string unfold(std::string_view raw)
{
    std::string out;
    out.reserve(raw.size());
    std::ranges::copy_if(raw, std::back_inserter(out), [](char c) { return c != '\n' && c != '\r'; });
    return out;
}

std::string_view HeaderField::body() const
{
    const auto colon = raw.find(':');
    return colon == std::string::npos ? std::string_view{} : std::string_view(raw).substr(colon + 1);
}

bool HeaderField::is(std::string_view field_name) const
{
    return equals_ignoring_case(name, field_name);
}

HeaderReader::Line HeaderReader::add(std::string_view text, bool complete)
{
    if (inside_line_) {
        append(text);
        inside_line_ = !complete;
        return Line::header;
    }
    if (text.empty()) {
        if (!complete)
            return Line::header; // nothing is known of this line yet
        finish();
        return Line::blank;
    }
    if (has_open_ && is_blank(text.front())) {
        append("\n");
        append(text);
        inside_line_ = !complete;
        return Line::header;
    }
    const auto name = header_field_name(text);
    finish();
    if (name.empty())
        return Line::body;
    open_.name = name;
    has_open_ = true;
    append(text);
    inside_line_ = !complete;
    return Line::header;
}

std::optional<HeaderField> HeaderReader::take()
{
    return std::exchange(finished_, std::nullopt);
}

void HeaderReader::finish()
{
    if (std::exchange(has_open_, false))
        finished_ = std::exchange(open_, {});
    inside_line_ = false;
}

void HeaderReader::append(std::string_view text)
{
    const std::size_t room = limit_ - std::min(limit_, open_.raw.size());
    open_.truncated = open_.truncated || text.size() > room;
    // Once cut, stay cut: a hole in the middle would make another field of it.
    if (open_.truncated && room == 0)
        return;
    open_.raw.append(text.substr(0, room));
}

} // namespace bulkhead
