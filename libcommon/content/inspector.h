// The text of one message through header and body checks: lines in, records out, and a
// list of what the tables found.  Changes to the text (IGNORE, STRIP, PREPEND, REPLACE) are
// made here; judgements (REJECT, HOLD, ...) and log lines are the owner's.  Asks tables but
// logs nothing and touches no loop, so that all of it may run on a look-up thread.
#pragma once

#include "content/checks.h"
#include "mail/mime.h"

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bulkhead
{

// What a table said of a header or a line.
struct Finding {
    CheckAction action = CheckAction::dunno;
    bool in_header = true;
    std::string subject; // the header, unfolded, or the line; cut at max_subject
    std::string text;    // of the action
    std::string table;   // "mime_header_checks"

    static constexpr std::size_t max_subject = 200;
};

struct InspectorOptions {
    std::size_t body_limit = 51'200;    // body_checks_size_limit: bytes of each part
    std::size_t header_limit = 102'400; // header_size_limit
    bool uses_mime = true;              // not disable_mime_input_processing
    MimeLimits mime;
};

// A header field that is being collected.
struct OpenHeader {
    HeaderClass which = HeaderClass::primary;
    std::string raw;
    bool cut = false;
    bool inside_line = false;
};

class ContentInspector
{
public:
    // checks outlives the inspector.
    ContentInspector(ContentChecks& checks, const InspectorOptions& options);

    // A header field, its lines joined by '\n'.  The text that takes its place, lines joined
    // by '\n': nullopt when it stays as it is, empty when nothing is left.
    std::optional<std::string> header(HeaderClass which, std::string_view raw);

    // Called for each primary header that stays, and may change it.
    using HeaderHook = std::function<void(std::string& raw)>;

    // A whole message: its own headers come through line() too.
    void expect_headers(HeaderHook hook = {});

    // The message's own headers are over (elsewhere): their values, for the MIME structure.
    void begin_body(std::string_view content_type, std::string_view encoding);

    // The next line, or part of one.  Adds records N and L to out.
    void line(std::string_view text, bool complete, std::string& out);

    // Behind the last line: a header that is still open.
    void finish(std::string& out);

    std::vector<Finding> take_findings() { return std::exchange(findings_, {}); }
    unsigned mime_faults() const { return scanner_ ? scanner_->faults() : 0; }

    // PASS: the rest of the message goes through.
    bool is_passing() const { return passing_; }

private:
    bool primary_line(std::string_view text, bool complete, std::string& out);
    void body_line(std::string_view text, bool complete, std::string& out);
    void add_to_header(std::string_view text, bool complete);
    void close_header(std::string& out);
    void note(CheckAnswer answer, bool in_header, std::string_view subject, std::string table);

    ContentChecks& checks_;
    InspectorOptions options_;
    std::optional<MimeScanner> scanner_;
    std::vector<Finding> findings_;
    std::optional<OpenHeader> header_;
    HeaderHook hook_;
    bool in_headers_ = false;
    std::string content_type_; // of the message
    std::string encoding_;
    std::size_t body_seen_ = 0; // bytes of the part
    bool passing_ = false;
};

} // namespace bulkhead
