#include "content/inspector.h"

#include "base/text.h"
#include "mail/header.h"
#include "spool/record.h"

#include <algorithm>

namespace bulkhead
{

namespace
{

constexpr std::size_t max_findings = 1000; // kept for one block of text

void append_lines(std::string& out, std::string_view text)
{
    for (std::size_t begin = 0; begin <= text.size();) {
        const std::size_t end = std::min(text.find('\n', begin), text.size());
        append_text(out, text.substr(begin, end - begin));
        begin = end + 1;
    }
}

std::string_view value_of(std::string_view raw)
{
    return raw.substr(std::min(raw.find(':') + 1, raw.size()));
}

} // namespace

ContentInspector::ContentInspector(ContentChecks& checks, const InspectorOptions& options)
    : checks_(checks), options_(options)
{
}

void ContentInspector::note(CheckAnswer answer, bool in_header, std::string_view subject, std::string table)
{
    if (findings_.size() >= max_findings && answer.action != CheckAction::reject)
        return;
    Finding found;
    found.action = answer.action;
    found.in_header = in_header;
    found.subject = subject.substr(0, Finding::max_subject);
    found.text = std::move(answer.text);
    found.table = std::move(table);
    findings_.push_back(std::move(found));
    // Behind a judgement there is nothing left to look for.
    passing_ = passing_ || answer.action == CheckAction::pass || answer.action == CheckAction::reject ||
               answer.action == CheckAction::discard || answer.action == CheckAction::broken;
}

std::optional<std::string> ContentInspector::header(HeaderClass which, std::string_view raw)
{
    if (passing_ || !checks_.has(which))
        return std::nullopt;
    const std::string text = unfold(raw);
    CheckAnswer answer = checks_.header(which, text);
    if (answer.action == CheckAction::dunno)
        return std::nullopt;
    const CheckAction action = answer.action;
    std::optional<std::string> changed;
    if (action == CheckAction::ignore || action == CheckAction::strip)
        changed.emplace();
    else if (action == CheckAction::replace)
        changed = answer.text;
    else if (action == CheckAction::prepend)
        changed = answer.text + '\n' + std::string(raw);
    note(std::move(answer), true, text, checks_.name(which));
    return changed;
}

void ContentInspector::expect_headers(HeaderHook hook)
{
    in_headers_ = true;
    hook_ = std::move(hook);
}

void ContentInspector::begin_body(std::string_view content_type, std::string_view encoding)
{
    in_headers_ = false;
    if (options_.uses_mime)
        scanner_.emplace(content_type, encoding, options_.mime);
}

void ContentInspector::add_to_header(std::string_view text, bool complete)
{
    OpenHeader& header = *header_;
    if (!header.raw.empty() && !header.inside_line && !header.cut)
        header.raw += '\n';
    if (header.cut || header.raw.size() + text.size() > options_.header_limit)
        header.cut = true;
    else
        header.raw += text;
    header.inside_line = !complete;
}

void ContentInspector::close_header(std::string& out)
{
    if (!header_)
        return;
    OpenHeader header = *std::exchange(header_, std::nullopt);
    const bool primary = header.which == HeaderClass::primary;
    if (primary && starts_with_ignoring_case(header.raw, "content-type"))
        content_type_ = value_of(header.raw);
    else if (primary && starts_with_ignoring_case(header.raw, "content-transfer-encoding"))
        encoding_ = value_of(header.raw);
    const auto changed = this->header(header.which, header.raw);
    if (changed)
        header.raw = *changed;
    if (header.raw.empty())
        return;
    if (primary && hook_)
        hook_(header.raw);
    append_lines(out, header.raw);
}

// False: the line is no header, and ends them.
bool ContentInspector::primary_line(std::string_view text, bool complete, std::string& out)
{
    const bool continues = header_ && (header_->inside_line || (!text.empty() && is_blank(text.front())));
    if (!continues) {
        close_header(out);
        if (header_field_name(text).empty()) {
            begin_body(content_type_, encoding_);
            return false;
        }
        header_.emplace();
    }
    add_to_header(text, complete);
    return true;
}

void ContentInspector::line(std::string_view text, bool complete, std::string& out)
{
    if (in_headers_ && primary_line(text, complete, out))
        return;
    MimeScanner::Line place;
    if (scanner_)
        place = scanner_->line(text, complete);
    if (place.kind == MimeScanner::Kind::body) {
        close_header(out);
        if (place.begins_part)
            body_seen_ = 0;
        body_line(text, complete, out);
        return;
    }
    if (place.kind == MimeScanner::Kind::header) {
        close_header(out);
        body_seen_ = 0;
        header_.emplace();
        header_->which = place.nested ? HeaderClass::nested : HeaderClass::mime;
    }
    if (!header_)
        header_.emplace();
    add_to_header(text, complete);
}

void ContentInspector::body_line(std::string_view text, bool complete, std::string& out)
{
    const RecordType type = complete ? RecordType::text : RecordType::text_part;
    const bool looks = checks_.has_body() && !passing_ && !text.empty() && body_seen_ < options_.body_limit;
    body_seen_ += text.size();
    if (!looks) {
        append_record(out, type, text);
        return;
    }
    CheckAnswer answer = checks_.body(text);
    const CheckAction action = answer.action;
    if (action == CheckAction::prepend)
        append_text(out, answer.text);
    if (action == CheckAction::replace)
        append_text(out, answer.text);
    else if (action != CheckAction::ignore && action != CheckAction::strip)
        append_record(out, type, text);
    if (action != CheckAction::dunno)
        note(std::move(answer), false, text, checks_.body_name());
}

void ContentInspector::finish(std::string& out)
{
    close_header(out);
}

} // namespace bulkhead
