// The receiving side of DATA (RFC 5321, 4.5.2): cuts the bytes of a connection
// into lines, takes the stuffed dots out and finds the end, which is <CR><LF>.<CR><LF>
// and nothing else.  On the hot path: lines inside one chunk are not copied.
//
// Why so strict: whoever takes another sequence for the end than the sender did
// lets the sender's text become commands ("SMTP smuggling").  A bare LF may be
// a line end here, but a dot line beside one is text.  A CR that is not part of
// CR LF becomes a blank: no bare CR ever leaves this reader, so none can become a
// line end, or half of one, at the next server.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bulkhead
{

constexpr std::size_t default_line_length_limit = 2048; // line_length_limit, bytes

// Takes the message.  A line longer than the limit comes in parts: each but the
// last has exactly that many bytes and complete == false, and the last is not empty.
// The view lives for the call.
class DataSink
{
public:
    virtual ~DataSink() = default;
    virtual void line(std::string_view text, bool complete) = 0;
};

class DataReader
{
public:
    // Who says where the message ends: a dot line, or (RFC 3030) a count, and finish() is
    // called; then a leading dot is text like any other.
    enum class Framing { dots, chunks };

    explicit DataReader(std::size_t line_limit = default_line_length_limit, Framing framing = Framing::dots);

    // Reads from the bytes until they or the message end; the number of bytes
    // used.  What is left behind the end is the client's next command.
    std::size_t feed(std::string_view bytes, DataSink& sink);

    bool finished() const { return finished_; }

    // Framing::chunks: that was all.  A last line without an end gets one.
    void finish(DataSink& sink);

    // So far: text after un-stuffing, plus two per line end.  For the size limit.
    std::uint64_t size() const { return size_; }

    // A line ended without CR (smtpd_forbid_bare_newline = reject answers 550
    // 5.5.2 at the end of the message and closes), or a CR stood alone.
    bool saw_bare_newline() const { return saw_bare_newline_; }
    bool saw_bare_return() const { return saw_bare_return_; }

private:
    void add_part(std::string_view bytes, DataSink& sink);
    void end_line(std::string_view text, DataSink& sink);
    void emit(std::string_view text, bool complete, DataSink& sink);

    std::size_t line_limit_;
    bool dots_;
    std::string part_;  // raw bytes of a line that is not complete yet; bounded
    std::string clean_; // scratch for lines with a bare CR
    std::uint64_t size_ = 0;
    bool at_line_start_ = true; // no part of this line was given to the sink
    bool after_crlf_ = true;    // the line before ended in CR LF, or this is the first
    bool finished_ = false;
    bool saw_bare_newline_ = false;
    bool saw_bare_return_ = false;
};

} // namespace bulkhead
