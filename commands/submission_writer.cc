#include "submission_writer.h"

#include "base/text.h"
#include "mail/addrlist.h"
#include "mail/header.h"
#include "spool/record.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace bulkhead
{

namespace
{

constexpr std::size_t max_header_text = 1024 * 1024; // of one header with recipients
constexpr std::size_t cr_window = 16;                // CRs at the end of a line that may belong to its end

bool names_recipients(std::string_view header)
{
    constexpr std::array<std::string_view, 6> names = {"to",        "cc",        "bcc",
                                                       "resent-to", "resent-cc", "resent-bcc"};
    return std::ranges::any_of(names,
                               [&](std::string_view name) { return equals_ignoring_case(name, header); });
}

} // namespace

SubmissionWriter::SubmissionWriter(SubmissionEnvelope envelope, SubmissionRules rules)
    : envelope_(std::move(envelope)), rules_(rules), fixes_endings_(rules.endings != LineEndings::never),
      in_headers_(envelope_.header_recipients)
{
    write_envelope();
}

void SubmissionWriter::write_number(std::string_view name, unsigned value)
{
    if (value != 0)
        append_attribute(out_, name, fmt::format("{}", value));
}

void SubmissionWriter::write_recipient(std::string_view recipient)
{
    write_number("notify_flags", envelope_.notify);
    append_record(out_, RecordType::recipient, recipient);
}

void SubmissionWriter::write_envelope()
{
    if (!envelope_.envelope_id.empty())
        append_attribute(out_, "envelope_id", envelope_.envelope_id);
    write_number("ret_flags", envelope_.ret_flags);
    append_attribute(out_, "rewrite_context", envelope_.remote ? "remote" : "local");
    if (envelope_.full_name)
        append_record(out_, RecordType::full_name, *envelope_.full_name);
    append_record(out_, RecordType::sender, envelope_.sender);
    if (!envelope_.encoding.empty())
        append_attribute(out_, "encoding", envelope_.encoding);
    write_number("trace_flags", envelope_.trace_flags);
    if (!envelope_.verp.empty())
        append_record(out_, RecordType::verp, envelope_.verp);
    for (const std::string& recipient : envelope_.recipients)
        write_recipient(recipient);
    append_record(out_, RecordType::message_start, {});
}

Result<> SubmissionWriter::check_size() const
{
    if (rules_.size_limit > 0 && size_ > rules_.size_limit)
        return Error{Fault::limit, "Message file too big"};
    return {};
}

Result<> SubmissionWriter::feed(std::string_view bytes)
{
    while (!bytes.empty() && !ended_) {
        const std::size_t newline = bytes.find('\n');
        if (newline != bytes.npos) {
            line_ += bytes.substr(0, newline);
            bytes.remove_prefix(newline + 1);
            TRY_VOID(take_line(line_, true));
            line_.clear();
            continue;
        }
        line_ += bytes;
        bytes = {};
    }
    // A long line does not wait for its end.
    while (line_.size() > max_text_record + cr_window) {
        TRY_VOID(take_line(std::string_view(line_).substr(0, max_text_record), false));
        line_.erase(0, max_text_record);
    }
    return {};
}

// complete: the line ends here; else more of it follows, and this is a full record.
Result<> SubmissionWriter::take_line(std::string_view line, bool complete)
{
    if (first_line_ && complete && rules_.endings == LineEndings::strict)
        fixes_endings_ = line.ends_with('\r');
    first_line_ = first_line_ && !complete;
    while (complete && fixes_endings_ && line.ends_with('\r'))
        line.remove_suffix(1);
    if (!inside_ && complete && line == "." && rules_.dot_ends) {
        ended_ = true;
        return {};
    }
    // Mailbox separators in front of the headers are none of them.
    if (inside_ ? in_separator_ : before_text_ && (line.starts_with("From ") || line.starts_with(">From "))) {
        in_separator_ = inside_ = !complete;
        return {};
    }
    before_text_ = false;
    if (in_headers_)
        take_header_line(line);
    const std::size_t before = out_.size();
    for (; line.size() >= max_text_record; line.remove_prefix(max_text_record))
        append_record(out_, RecordType::text_part, line.substr(0, max_text_record));
    if (complete)
        append_record(out_, RecordType::text, line);
    size_ += static_cast<std::int64_t>(out_.size() - before);
    inside_ = !complete;
    return check_size();
}

void SubmissionWriter::take_header_line(std::string_view line)
{
    if (inside_ || (!line.empty() && is_blank(line.front()))) {
        if (collects_ && field_.size() + line.size() < max_header_text)
            field_.append(inside_ ? "" : "\n").append(line);
        return;
    }
    end_header();
    const std::string_view name = header_field_name(line);
    if (name.empty()) {
        in_headers_ = false;
        return;
    }
    collects_ = names_recipients(name);
    if (collects_)
        field_ = line;
}

void SubmissionWriter::end_header()
{
    if (!std::exchange(collects_, false))
        return;
    const bool resent = starts_with_ignoring_case(field_, "resent-");
    const auto list = parse_address_list(std::string_view(field_).substr(field_.find(':') + 1));
    resent_ = resent_ || resent;
    if (list)
        for (const ListedAddress& one : list->addresses)
            if (!one.address.empty())
                (resent ? found_resent_ : found_).push_back(one.address);
    field_.clear();
}

Result<> SubmissionWriter::finish()
{
    const bool lonely_dot = !inside_ && line_ == "." && rules_.dot_ends;
    if (!ended_ && !line_.empty() && !lonely_dot) { // no line end: the reader of the file adds one
        if (in_headers_)
            take_header_line(line_);
        append_record(out_, RecordType::text_part, line_);
        line_.clear();
    }
    end_header();
    const std::vector<std::string>& named = resent_ ? found_resent_ : found_;
    if (envelope_.recipients.empty() && named.empty())
        return Error{Fault::not_found, "No recipient addresses found in message header"};
    append_record(out_, RecordType::extracted_start, {});
    for (const std::string& recipient : named)
        write_recipient(recipient);
    append_record(out_, RecordType::end, {});
    return check_size();
}

} // namespace bulkhead
