// The structure of a MIME message (RFC 2045, 2046), line by line: which lines are headers
// of parts or of attached messages, where bodies begin, and what is wrong.  Keeps a bounded
// stack of boundaries and nothing of the text; knows no tables and decodes nothing.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

// "multipart/mixed; boundary=x": type and subtype in lower case, empty if the text is none.
struct ContentType {
    std::string type;
    std::string subtype;
    std::string boundary;

    bool is(std::string_view t, std::string_view s) const { return type == t && subtype == s; }
};
ContentType parse_content_type(std::string_view value);

// The word of a Content-Transfer-Encoding: header, lower case, without comments.
std::string parse_encoding(std::string_view value);

// What is wrong with a message, as bits.
namespace mime_fault
{
inline constexpr unsigned nesting = 1;         // mime_nesting_limit
inline constexpr unsigned header_8bit = 2;     // RFC 5322, 2.2
inline constexpr unsigned body_8bit = 4;       // no encoding says that there may be any
inline constexpr unsigned encoding_domain = 8; // RFC 2045, 6.4: composite types are not encoded
inline constexpr unsigned truncated_header = 16;
} // namespace mime_fault

struct MimeLimits {
    std::size_t nesting = 100;    // mime_nesting_limit
    std::size_t boundary = 2048;  // mime_boundary_length_limit: bytes that are compared
    std::size_t header = 102'400; // header_size_limit: bytes of a header that are looked at
};

class MimeScanner
{
public:
    enum class Kind {
        body,
        header,       // begins a header field
        continuation, // of the field before
    };
    struct Line {
        Kind kind = Kind::body;
        bool nested = false;      // a header of an attached message, not of a part
        bool begins_part = false; // a body begins with this line
    };

    // The values of the message's own headers, empty where it has none.
    MimeScanner(std::string_view content_type, std::string_view encoding, const MimeLimits& limits);

    // One line of what follows the message's own headers, or a part of a line; the blank
    // line between header and body counts as body.
    Line line(std::string_view text, bool complete);

    unsigned faults() const { return faults_; } // mime_fault bits

    // Nothing but a body will come: no boundary can end it.
    bool is_plain() const { return stack_.empty() && state_ == State::body; }

private:
    enum class State { body, part_headers, nested_headers };
    struct Level {
        std::string boundary;
        bool digest = false;
    };

    Line header_line(std::string_view text, bool complete);
    bool meets_boundary(std::string_view text);
    void begin_part(bool digest);
    void collect(std::string_view text, bool new_field);
    void end_field();
    void end_headers();

    MimeLimits limits_;
    State state_ = State::body;
    std::vector<Level> stack_;
    ContentType type_; // of the part that is being described
    std::string encoding_;
    bool is_8bit_ = false; // the body may be
    std::string field_;    // Content-*: being collected
    bool collects_ = false;
    bool inside_line_ = false; // the last line goes on
    Line last_;
    unsigned faults_ = 0;
};

} // namespace bulkhead
