#include "mail/mime.h"

#include "base/text.h"
#include "mail/header.h"

#include <algorithm>
#include <utility>

namespace bulkhead
{

namespace
{

constexpr std::size_t max_comment_depth = 50;

// Tokens of a structured header (RFC 2045, 5.1): words, quoted strings, single specials;
// comments and blanks in between are passed over.
class Tokens
{
public:
    explicit Tokens(std::string_view text) : rest_(text) {}

    // Empty at the end.
    std::string next()
    {
        skip_blanks();
        std::string token;
        if (rest_.empty())
            return token;
        if (rest_.front() == '"') {
            rest_.remove_prefix(1);
            quoted(token);
            return token.empty() ? std::string(1, '\0') : token;
        }
        const std::size_t size = std::min(rest_.find_first_of(specials), rest_.size());
        token = rest_.substr(0, std::max<std::size_t>(size, 1));
        rest_.remove_prefix(token.size());
        return token;
    }

private:
    static constexpr std::string_view specials = " \t\r\n()<>@,;:\\\"/[]?=";

    void quoted(std::string& token)
    {
        while (!rest_.empty() && rest_.front() != '"') {
            if (rest_.front() == '\\' && rest_.size() > 1)
                rest_.remove_prefix(1);
            if (rest_.front() != '\n' && rest_.front() != '\r')
                token += rest_.front();
            rest_.remove_prefix(1);
        }
        if (!rest_.empty())
            rest_.remove_prefix(1);
    }

    void skip_blanks()
    {
        std::size_t depth = 0;
        for (; !rest_.empty(); rest_.remove_prefix(1)) {
            const char c = rest_.front();
            if (c == '(' && depth < max_comment_depth)
                ++depth;
            else if (c == ')' && depth > 0)
                --depth;
            else if (c == '\\' && depth > 0 && rest_.size() > 1)
                rest_.remove_prefix(1);
            else if (depth == 0 && !is_blank(c) && c != '\n' && c != '\r')
                return;
        }
    }

    std::string_view rest_;
};

bool allows_8bit(std::string_view encoding)
{
    return encoding == "8bit" || encoding == "binary";
}

} // namespace

ContentType parse_content_type(std::string_view value)
{
    Tokens tokens(value);
    ContentType found;
    std::string type = lower(tokens.next());
    if (tokens.next() != "/")
        return found;
    found.type = std::move(type);
    found.subtype = lower(tokens.next());
    for (std::string token = tokens.next(); !token.empty(); token = tokens.next()) {
        if (token != ";")
            continue;
        const std::string name = lower(tokens.next());
        if (name.empty() || tokens.next() != "=")
            continue;
        std::string parameter = tokens.next();
        if (name == "boundary" && found.boundary.empty())
            found.boundary = std::move(parameter);
    }
    return found;
}

std::string parse_encoding(std::string_view value)
{
    return lower(Tokens(value).next());
}

MimeScanner::MimeScanner(std::string_view content_type, std::string_view encoding, const MimeLimits& limits)
    : limits_(limits)
{
    type_ = parse_content_type(content_type);
    encoding_ = parse_encoding(encoding);
    end_headers();
}

MimeScanner::Line MimeScanner::line(std::string_view text, bool complete)
{
    if (inside_line_) {
        inside_line_ = !complete;
        if (collects_ && last_.kind != Kind::body)
            collect(text, false);
        Line more = last_;
        more.begins_part = false;
        if (more.kind == Kind::header)
            more.kind = Kind::continuation;
        return more;
    }
    inside_line_ = !complete;
    if (!stack_.empty() && text.starts_with("--") && meets_boundary(text))
        return last_ = Line{};
    if (state_ == State::body) {
        if (!is_8bit_ && !(faults_ & mime_fault::body_8bit) && has_8bit(text))
            faults_ |= mime_fault::body_8bit;
        return last_ = Line{};
    }
    return last_ = header_line(text, complete);
}

MimeScanner::Line MimeScanner::header_line(std::string_view text, bool complete)
{
    Line found;
    found.nested = state_ == State::nested_headers;
    if (!(faults_ & mime_fault::header_8bit) && has_8bit(text))
        faults_ |= mime_fault::header_8bit;
    const bool goes_on = last_.kind != Kind::body && !text.empty() && is_blank(text.front());
    if (goes_on) {
        found.kind = Kind::continuation;
        if (collects_)
            collect(text, false);
        return found;
    }
    end_field();
    const std::string_view name = header_field_name(text);
    if (!name.empty()) {
        found.kind = Kind::header;
        collects_ = equals_ignoring_case(name, "content-type") ||
                    equals_ignoring_case(name, "content-transfer-encoding");
        if (collects_)
            collect(text, true);
        return found;
    }
    (void)complete;
    end_headers();
    found.nested = false;
    found.begins_part = true;
    return found;
}

// True: the line is a boundary of a part that is open, perhaps of one further out.
bool MimeScanner::meets_boundary(std::string_view text)
{
    const std::string_view rest = text.substr(2);
    for (std::size_t i = stack_.size(); i-- > 0;) {
        const std::string_view boundary = stack_[i].boundary;
        if (!rest.starts_with(boundary))
            continue;
        end_field();
        const bool closes = rest.substr(boundary.size()).starts_with("--");
        const bool digest = stack_[i].digest;
        stack_.resize(closes ? i : i + 1);
        if (closes) {
            state_ = State::body;
            is_8bit_ = true; // what follows belongs to no part
        } else {
            begin_part(digest);
        }
        return true;
    }
    return false;
}

void MimeScanner::begin_part(bool digest)
{
    state_ = State::part_headers;
    type_ = {};
    type_.type = digest ? "message" : "text";
    type_.subtype = digest ? "rfc822" : "plain";
    encoding_.clear();
    last_ = Line{};
}

void MimeScanner::collect(std::string_view text, bool new_field)
{
    if (new_field)
        field_.clear();
    const std::size_t room = limits_.header - std::min(limits_.header, field_.size());
    if (text.size() > room)
        faults_ |= mime_fault::truncated_header;
    field_.append(text.substr(0, room));
}

void MimeScanner::end_field()
{
    if (!std::exchange(collects_, false))
        return;
    const std::string_view name = header_field_name(field_);
    const std::string_view value =
        std::string_view(field_).substr(std::min(field_.find(':') + 1, field_.size()));
    if (equals_ignoring_case(name, "content-type"))
        type_ = parse_content_type(value);
    else
        encoding_ = parse_encoding(value);
    field_.clear();
}

// What the headers that have ended say of what follows.
void MimeScanner::end_headers()
{
    state_ = State::body;
    const bool multipart = type_.type == "multipart";
    const bool message = type_.type == "message";
    is_8bit_ = allows_8bit(encoding_);
    if ((multipart || message) && !encoding_.empty() && encoding_ != "7bit" && !is_8bit_ &&
        !type_.is("message", "partial") && !type_.is("message", "external-body"))
        faults_ |= mime_fault::encoding_domain;
    if (multipart && !type_.boundary.empty()) {
        if (stack_.size() >= limits_.nesting) {
            faults_ |= mime_fault::nesting;
            return;
        }
        stack_.push_back({type_.boundary.substr(0, limits_.boundary), type_.subtype == "digest"});
    } else if (type_.is("message", "rfc822") || type_.is("message", "external-body")) {
        state_ = State::nested_headers;
        type_ = {"text", "plain", {}};
        encoding_.clear();
    }
    last_ = Line{};
}

} // namespace bulkhead
