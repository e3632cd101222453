// Message header fields (RFC 5322, 2.2): what a field's first line looks like,
// unfolding, and a reader that joins physical lines to logical fields.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead
{

constexpr std::size_t default_header_size_limit = 102'400; // header_size_limit, bytes

// The name of the field that this line starts, empty if it starts none.  Blanks
// between name and colon are tolerated (RFC 5322, 4.5) and not part of the name.
std::string_view header_field_name(std::string_view line);

// One line for the whole field: each line break goes, the blank behind it stays.
std::string unfold(std::string_view raw);

// A complete logical field.
struct HeaderField {
    std::string name;       // as written, without the colon
    std::string raw;        // all physical lines, joined by '\n', no final one
    bool truncated = false; // header_size_limit cut the rest off

    // What follows the colon, still folded, leading blanks included.
    std::string_view body() const;
    bool is(std::string_view field_name) const;
};

// Fed with physical lines (without line ends); a long line may come in parts.
// After each add(), take() gives the field that this line completed, if any.
class HeaderReader
{
public:
    enum class Line {
        header, // belongs to a header field
        blank,  // the empty line: headers end here
        body,   // no header at all: headers ended without an empty line, this is body text
    };

    explicit HeaderReader(std::size_t size_limit = default_header_size_limit) : limit_(size_limit) {}

    // complete is false for a part of a line that goes on in the next call.
    // After blank or body the reader takes no more lines.
    Line add(std::string_view text, bool complete = true);

    // The field finished by the last add() or by finish(); once.
    std::optional<HeaderField> take();

    // The input ended: the last field is complete.
    void finish();

private:
    void append(std::string_view text);

    std::size_t limit_;
    HeaderField open_;
    std::optional<HeaderField> finished_;
    bool has_open_ = false;
    bool inside_line_ = false;
};

} // namespace bulkhead
