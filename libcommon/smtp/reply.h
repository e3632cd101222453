// Replies of RFC 5321, 4.2, at both ends: Reply is what our server says,
// PeerReply what another server said, ReplyParser reads the latter line by line.
#pragma once

#include "base/result.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

// code is 0 for "no reply yet".  Lines hold text only: the enhanced status is
// put in front of each when the reply is written.
struct Reply {
    Reply() = default;
    Reply(int reply_code, std::string status, std::string text);
    Reply(int reply_code, std::string status, std::vector<std::string> text_lines);
    // Without enhanced status: greetings, 354, EHLO.
    Reply(int reply_code, std::string text);
    Reply(int reply_code, std::vector<std::string> text_lines);

    bool ok() const { return code >= 200 && code < 400; }

    // "250-2.1.0 a\r\n250 2.1.0 b\r\n".  Line ends inside a text become '?': a text
    // from a table or another server must not become a reply of its own.
    std::string wire() const;
    void append_wire(std::string& out) const;

    // "550 5.1.1 <a@b>: no", several lines joined by one blank, for log lines.
    std::string summary() const;

    int code = 0;
    std::string dsn; // "5.1.1", may be empty
    std::vector<std::string> lines;
};

// A complete reply of a server.
struct PeerReply {
    PeerReply() = default;

    bool positive() const { return code >= 200 && code < 400; }
    bool transient() const { return code >= 400 && code < 500; }
    bool permanent() const { return code >= 500; }

    int code = 0;
    std::string dsn;                // from the first line that has one of the code's class; may be empty
    std::vector<std::string> lines; // behind code and separator, status included
    std::string text;               // the raw lines joined by one blank, unprintable bytes as '?'
};

struct ReplyLimits {
    std::size_t line_length = 2048; // bytes kept of one line
    std::size_t lines = 200;
    std::size_t total = 32'768; // bytes kept of all lines
};

class ReplyParser
{
public:
    explicit ReplyParser(const ReplyLimits& limits = {}) : limits_(limits) {}

    // One line without its line end.  True: the reply is complete, take() it.
    // Fault::malformed: no reply at all; Fault::limit: a reply that never ends.
    // Longer lines are cut, not refused.
    Result<bool> add_line(std::string_view line);

    PeerReply take(); // and start again
    bool in_progress() const { return count_ > 0; }

private:
    ReplyLimits limits_;
    PeerReply reply_;
    std::size_t count_ = 0;
};

} // namespace bulkhead
