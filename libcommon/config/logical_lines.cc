#include "config/logical_lines.h"

#include "base/text.h"

#include <algorithm>

namespace bulkhead
{

std::string_view LogicalLines::take_line()
{
    const auto end = std::min(rest_.find('\n'), rest_.size());
    std::string_view line = rest_.substr(0, end);
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    ++lines_taken_;
    if (line.ends_with('\r'))
        line.remove_suffix(1);
    return line;
}

static bool is_comment_or_empty(std::string_view line)
{
    const std::string_view text = trim(line);
    return text.empty() || text.front() == '#';
}

bool LogicalLines::next()
{
    std::string_view line;
    do {
        if (rest_.empty())
            return false;
        line = take_line();
    } while (is_comment_or_empty(line));

    text_.assign(line);
    number_ = lines_taken_;
    while (!rest_.empty()) {
        const std::string_view before = rest_;
        const int lines_before = lines_taken_;
        const std::string_view more = take_line();
        if (is_comment_or_empty(more))
            continue;
        if (!is_blank(more.front())) {
            rest_ = before;
            lines_taken_ = lines_before;
            break;
        }
        text_.append(more);
    }
    while (!text_.empty() && is_blank(text_.back()))
        text_.pop_back();
    return true;
}

} // namespace bulkhead
