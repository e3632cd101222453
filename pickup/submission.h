// A file of maildrop/ as records for cleanup: what sendmail wrote, or a queue file
// that was put back by postsuper -r.  Whatever else is in it stays behind.
#pragma once

#include "base/result.h"
#include "spool/record_stream.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bulkhead
{

struct SubmissionFacts {
    unsigned owner = 0;         // uid of the file
    bool queued_before = false; // a queue file, not fresh from sendmail
    std::int64_t modified = 0;  // seconds; the date of the Received: header
    std::string content_filter; // transport:nexthop, or empty
    std::string myhostname;
    std::string mail_name;
};

class Submission
{
public:
    // The descriptor stays the caller's.
    Submission(int fd, SubmissionFacts facts) : records_(fd), facts_(std::move(facts)) {}
    Submission(std::string_view file, SubmissionFacts facts) : records_(file), facts_(std::move(facts)) {}

    // Adds the records of the envelope.  Fault::malformed: the file is no submission.
    Result<> read_envelope(std::string& out);

    // Adds the mark of the content and our Received: header.
    void begin_content(std::string& out, std::string_view queue_id) const;

    // Adds more records until `limit` bytes are passed; false: that was all.
    Result<bool> read_content(std::string& out, std::size_t limit);

    // After read_envelope():
    const std::string& sender() const { return sender_; }
    bool is_local() const { return local_; } // its headers may be completed
    bool has_utf8_addresses() const { return utf8_addresses_; }

private:
    enum class Stage { content, extracted };
    Result<FileRecord> next();
    Result<> take_envelope(const FileRecord& record, std::string& out);
    Result<> take_attribute(const FileRecord& record, std::string& out, bool extracted);
    void take_recipient(const FileRecord& record, std::string& out);

    RecordStream records_;
    SubmissionFacts facts_;
    Stage stage_ = Stage::content;
    std::string of_recipient_; // records that belong to the next recipient
    std::string sender_;
    bool has_sender_ = false;
    bool local_ = true;
    bool utf8_addresses_ = false;
};

} // namespace bulkhead
