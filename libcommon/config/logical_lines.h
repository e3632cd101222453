// Logical lines of main.cf, master.cf and table sources: a line that begins with a
// blank continues the one before; comment lines and empty lines are skipped,
// also between the parts of one logical line.
#pragma once

#include <string>
#include <string_view>

namespace bulkhead
{

class LogicalLines
{
public:
    // The text must outlive this object.
    explicit LogicalLines(std::string_view text) : rest_(text) {}

    // Moves to the next logical line; false at the end.
    bool next();

    // Parts joined without the line ends, trailing blanks removed; line numbers of the
    // first part, from 1.
    const std::string& text() const { return text_; }
    int number() const { return number_; }

private:
    std::string_view take_line();

    std::string_view rest_;
    std::string text_;
    int number_ = 0;
    int lines_taken_ = 0;
};

} // namespace bulkhead
