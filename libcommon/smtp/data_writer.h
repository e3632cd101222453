// The sending side of DATA (RFC 5321, 4.5.2): lines with CR LF, leading dots
// doubled, too long lines broken.  Text cannot end the message or a line early:
// CR and LF inside a line are written as blanks, NUL is left out.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace bulkhead
{

class DataWriter
{
public:
    // Lines longer than the limit are broken by CR LF SPACE; 0: never.
    explicit DataWriter(std::size_t line_limit = 998);

    // Appends a line, or a part of one that goes on in the next call.
    void line(std::string& out, std::string_view text, bool complete = true);

    // Ends an open line and the message (".\r\n").
    void finish(std::string& out);

    bool broke_a_line() const { return broke_a_line_; }

private:
    std::size_t line_limit_;
    std::size_t column_ = 0; // bytes of the open line, without the stuffed dot
    bool inside_line_ = false;
    bool broke_a_line_ = false;
};

} // namespace bulkhead
