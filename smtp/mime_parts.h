// The parts of a MIME message (RFC 2046), line by line: header fields, bodies, and what stands
// between parts.  Bounded: parts, depth, the size of a header field.
#pragma once

#include "mail/header.h"
#include "mail/mime.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

// What the header of a part says.
struct PartHead {
    ContentType type;
    std::string encoding;      // lower case; empty: not said
    bool is_message = false;   // the message itself or an attached one, not a body part
    bool is_composite = false; // other parts follow, no body of its own
    bool is_encodable() const; // its encoding says nothing but how many bits there are
};

class MimeParts
{
public:
    // Told in the order of the message; part: counted from 0, each header begins one.
    class Listener
    {
    public:
        virtual ~Listener() = default;
        virtual void field(std::size_t part, const HeaderField& field) = 0;
        // blank_line: it has ended as it should, and the blank line is not told again.
        virtual void end_of_header(std::size_t part, const PartHead& head, bool blank_line) = 0;
        virtual void body(std::size_t part, std::string_view text, bool complete) = 0;
        // at_boundary: the last line's end belongs to the boundary (RFC 2046, 5.1.1).
        virtual void end_of_body(std::size_t part, bool at_boundary) = 0;
        // Boundaries, and what is in front of and behind the parts.
        virtual void between(std::string_view text, bool complete) = 0;
    };

    static constexpr std::size_t part_limit = 10'000; // later ones are not looked into
    static constexpr std::size_t depth_limit = 100;
    static constexpr std::size_t field_limit = 1024 * 1024;

    explicit MimeParts(Listener& listener) : listener_(listener) { begin_part({}, true); }

    void line(std::string_view text, bool complete);
    void finish();

private:
    enum class State { header, body, between };
    struct Level {
        std::string boundary;
        bool is_digest;
    };

    void begin_part(ContentType type, bool is_message);
    void give(std::string_view text, bool complete);
    void header_line(std::string_view text, bool complete);
    void take_field();
    void end_header(bool blank_line);
    bool cross_boundary(std::string_view text);
    void end_part(bool at_boundary);

    Listener& listener_;
    State state_ = State::header;
    bool inside_line_ = false;
    std::size_t part_ = 0;
    std::size_t parts_ = 0;
    std::size_t depth_ = 0; // of attached messages
    PartHead head_;
    bool has_type_ = false;
    std::optional<HeaderReader> reader_;
    std::vector<Level> levels_;
};

} // namespace bulkhead
