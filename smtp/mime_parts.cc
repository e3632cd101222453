#include "mime_parts.h"

#include "base/text.h"

#include <utility>

namespace bulkhead
{

bool PartHead::is_encodable() const
{
    return encoding.empty() || encoding == "7bit" || encoding == "8bit" || encoding == "binary";
}

void MimeParts::begin_part(ContentType type, bool is_message)
{
    part_ = parts_++;
    head_ = {};
    head_.type = std::move(type);
    head_.is_message = is_message;
    has_type_ = false;
    reader_.emplace(field_limit);
    state_ = State::header;
}

void MimeParts::line(std::string_view text, bool complete)
{
    const bool begins = !std::exchange(inside_line_, !complete);
    if (begins && complete && text.starts_with("--") && cross_boundary(text))
        return;
    give(text, complete);
}

void MimeParts::give(std::string_view text, bool complete)
{
    switch (state_) {
    case State::header:
        header_line(text, complete);
        break;
    case State::body:
        listener_.body(part_, text, complete);
        break;
    case State::between:
        listener_.between(text, complete);
        break;
    }
}

void MimeParts::header_line(std::string_view text, bool complete)
{
    const auto kind = reader_->add(text, complete);
    take_field();
    if (kind == HeaderReader::Line::header)
        return;
    end_header(kind == HeaderReader::Line::blank);
    if (kind == HeaderReader::Line::body)
        give(text, complete);
}

void MimeParts::take_field()
{
    const auto field = reader_->take();
    if (!field)
        return;
    if (field->is("Content-Type") && !std::exchange(has_type_, true))
        head_.type = parse_content_type(field->body());
    else if (field->is("Content-Transfer-Encoding") && head_.encoding.empty())
        head_.encoding = parse_encoding(field->body());
    listener_.field(part_, *field);
}

void MimeParts::end_header(bool blank_line)
{
    const bool may_nest =
        head_.is_encodable() && levels_.size() + depth_ < depth_limit && parts_ < part_limit;
    const bool is_multipart = may_nest && head_.type.type == "multipart" && !head_.type.boundary.empty();
    const bool is_message = may_nest && blank_line && head_.type.is("message", "rfc822");
    head_.is_composite = is_multipart || is_message;
    listener_.end_of_header(part_, head_, blank_line);
    if (is_multipart) {
        levels_.push_back({head_.type.boundary, head_.type.subtype == "digest"});
        state_ = State::between;
    } else if (is_message) {
        ++depth_;
        begin_part({}, true);
    } else {
        state_ = State::body;
    }
}

void MimeParts::end_part(bool at_boundary)
{
    if (state_ == State::header) {
        reader_->finish();
        take_field();
        head_.is_composite = false;
        listener_.end_of_header(part_, head_, false);
        state_ = State::body;
    }
    if (state_ == State::body)
        listener_.end_of_body(part_, at_boundary);
    state_ = State::between;
}

// A boundary of an outer level ends the inner ones, whether they are complete or not.
bool MimeParts::cross_boundary(std::string_view text)
{
    text = text.substr(0, text.find_last_not_of(" \t") + 1);
    for (std::size_t i = levels_.size(); i-- > 0;) {
        const std::string& boundary = levels_[i].boundary;
        const std::string_view rest = text.substr(2);
        if (!rest.starts_with(boundary))
            continue;
        const std::string_view behind = rest.substr(boundary.size());
        if (!behind.empty() && behind != "--")
            continue;
        end_part(true);
        listener_.between(text, true);
        const bool digest = levels_[i].is_digest;
        levels_.resize(behind.empty() ? i + 1 : i);
        if (behind.empty() && parts_ < part_limit) {
            ContentType type;
            if (digest) {
                type.type = "message";
                type.subtype = "rfc822";
            }
            begin_part(std::move(type), false);
        }
        return true;
    }
    return false;
}

void MimeParts::finish()
{
    end_part(false);
}

} // namespace bulkhead
