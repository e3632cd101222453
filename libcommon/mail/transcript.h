// What two mail servers have said to each other, as the postmaster gets to see it: " In:" is
// the other side, " Out:" is ours.  Bounded; what is secret in AUTH is left out.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace bulkhead
{

class Transcript
{
public:
    void heard(std::string_view line) { add(" In:  ", line); }
    void said(std::string_view line) { add(" Out: ", line); }

    std::size_t lines() const { return lines_; }
    const std::string& text() const { return text_; } // lines that end in LF
    void clear();

private:
    static constexpr std::size_t line_limit = 500;       // bytes shown of one line
    static constexpr std::size_t text_limit = 64 * 1024; // bytes; then no more is taken

    void add(std::string_view mark, std::string_view line);

    std::string text_;
    std::size_t lines_ = 0;
};

} // namespace bulkhead
