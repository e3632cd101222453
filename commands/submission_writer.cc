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
    if (!in_headers_)
        (void)write_envelope(); // its recipients are known: finish() says when there are none
}

Result<> SubmissionWriter::write_envelope()
{
    const std::vector<std::string>& more = resent_ ? found_resent_ : found_;
    envelope_.recipients.insert(envelope_.recipients.end(), more.begin(), more.end());
    std::string head;
    const auto number = [&](std::string_view name, unsigned value) {
        if (value != 0)
            append_attribute(head, name, fmt::format("{}", value));
    };
    if (!envelope_.envelope_id.empty())
        append_attribute(head, "envelope_id", envelope_.envelope_id);
    number("ret_flags", envelope_.ret_flags);
    append_attribute(head, "rewrite_context", envelope_.remote ? "remote" : "local");
    number("trace_flags", envelope_.trace_flags);
    if (!envelope_.full_name.empty())
        append_record(head, RecordType::full_name, envelope_.full_name);
    append_record(head, RecordType::sender, envelope_.sender);
    if (!envelope_.encoding.empty())
        append_attribute(head, "encoding", envelope_.encoding);
    if (!envelope_.verp.empty())
        append_record(head, RecordType::verp, envelope_.verp);
    for (const std::string& recipient : envelope_.recipients) {
        number("notify_flags", envelope_.notify);
        append_record(head, RecordType::recipient, recipient);
    }
    append_record(head, RecordType::message_start, {});
    out_ += head;
    out_ += held_;
    held_.clear();
    return {};
}

Result<> SubmissionWriter::check_size() const
{
    if (rules_.size_limit > 0 && size_ > rules_.size_limit)
        return Error{Fault::limit, "message file too big"};
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
    // A long line does not wait for its end; a CR at its end may belong to that.
    while (line_.size() > max_text_record + 1) {
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
    if (complete && fixes_endings_ && line.ends_with('\r'))
        line.remove_suffix(1);
    if (!inside_ && complete && line == "." && rules_.dot_ends) {
        ended_ = true;
        return {};
    }
    // A mailbox separator in front of the headers is none of them.
    std::string renamed;
    if (first_line_ && line.starts_with("From ")) {
        renamed.append("X-Mailbox-Line: ").append(line);
        line = renamed;
    }
    first_line_ = false;
    if (in_headers_)
        take_header_line(line, complete);
    std::string& out = in_headers_ ? held_ : out_;
    const std::size_t before = out.size();
    if (complete)
        append_text(out, line);
    else
        append_record(out, RecordType::text_part, line);
    size_ += static_cast<std::int64_t>(out.size() - before);
    inside_ = !complete;
    return check_size();
}

void SubmissionWriter::take_header_line(std::string_view line, bool)
{
    if (inside_ || (!line.empty() && is_blank(line.front()))) {
        if (collects_ && field_.size() + line.size() < max_header_text)
            field_.append(inside_ ? "" : "\n").append(line);
        return;
    }
    end_header();
    const std::string_view name = header_field_name(line);
    if (name.empty()) {
        end_headers();
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

void SubmissionWriter::end_headers()
{
    in_headers_ = false;
    (void)write_envelope();
}

Result<> SubmissionWriter::finish()
{
    if (!ended_ && !line_.empty()) { // no line end at the end: one is added
        TRY_VOID(take_line(line_, true));
        line_.clear();
    } else if (inside_) {
        TRY_VOID(take_line({}, true));
    }
    if (in_headers_) {
        end_header();
        end_headers();
    }
    if (envelope_.recipients.empty())
        return Error{Fault::not_found, "No recipient addresses found in message header"};
    append_record(out_, RecordType::extracted_start, {});
    append_record(out_, RecordType::end, {});
    return {};
}

} // namespace bulkhead
