#include "mail/transcript.h"

#include "base/text.h"

namespace bulkhead
{

namespace
{

// "AUTH PLAIN" of "AUTH PLAIN dGVzdA...".
std::string_view without_secrets(std::string_view line)
{
    if (!starts_with_ignoring_case(line, "AUTH "))
        return line;
    const auto mechanism = line.find_first_not_of(' ', 5);
    const auto end = mechanism == line.npos ? line.npos : line.find(' ', mechanism);
    return line.substr(0, end);
}

} // namespace

void Transcript::add(std::string_view mark, std::string_view line)
{
    if (text_.size() > text_limit)
        return;
    text_ += mark;
    text_ += printable(without_secrets(line).substr(0, line_limit), true);
    text_ += '\n';
    ++lines_;
}

void Transcript::clear()
{
    text_.clear();
    lines_ = 0;
}

} // namespace bulkhead
