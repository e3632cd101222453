// A message on its way from sendmail to postdrop: lines in, the records of a maildrop
// file out, in blocks.  Recipients from the headers stand behind the content, so nothing
// of it has to wait.  No I/O: tested by tests/unit/submission.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

struct SubmissionEnvelope {
    std::string sender; // internal form, empty: the null sender
    std::optional<std::string> full_name;
    std::vector<std::string> recipients; // internal form
    std::string encoding;                // "7bit", "8bit" or empty
    std::string envelope_id;
    std::string verp; // two characters, or empty
    unsigned ret_flags = 0;
    unsigned notify = 0;
    unsigned trace_flags = 0;
    bool remote = false;            // -G: not ours to complete
    bool header_recipients = false; // -t
};

enum class LineEndings { always, strict, never }; // sendmail_fix_line_endings

struct SubmissionRules {
    bool dot_ends = true; // no -i
    LineEndings endings = LineEndings::always;
    std::int64_t size_limit = 0; // message_size_limit, 0: none
};

class SubmissionWriter
{
public:
    SubmissionWriter(SubmissionEnvelope envelope, SubmissionRules rules);

    // The next bytes of the message, cut anywhere.  Fault::limit: too big.
    Result<> feed(std::string_view bytes);

    // The message is complete.  Fault::not_found: it has no recipient.
    Result<> finish();

    // A line with a single dot has come: what follows is not read.
    bool is_ended() const { return ended_; }

    // Records made so far; the caller takes them away.
    std::string& output() { return out_; }

private:
    Result<> take_line(std::string_view line, bool complete);
    void take_header_line(std::string_view line);
    void end_header();
    void write_envelope();
    void write_recipient(std::string_view recipient);
    void write_number(std::string_view name, unsigned value);
    Result<> check_size() const;

    SubmissionEnvelope envelope_;
    SubmissionRules rules_;
    std::string out_;
    std::string line_;          // an unfinished line, at most one text record of it
    bool inside_ = false;       // parts of this line have been written
    bool in_separator_ = false; // of a mailbox, which is left out
    bool first_line_ = true;
    bool before_text_ = true; // only mailbox separators so far
    bool fixes_endings_ = true;
    bool ended_ = false;
    std::int64_t size_ = 0;

    bool in_headers_ = false; // -t: looking for recipients
    std::string field_;       // the header being collected, if it names recipients
    bool collects_ = false;
    bool resent_ = false;
    std::vector<std::string> found_;
    std::vector<std::string> found_resent_;
};

} // namespace bulkhead
