#include "table/message_keys.h"

#include "base/text.h"

#include <algorithm>
#include <optional>

namespace bulkhead
{

namespace
{

// The value of a parameter of a Content-Type header, without quotes (RFC 2045, 5.1).
std::optional<std::string> parameter_of(std::string_view header, std::string_view name)
{
    for (std::string_view part : split(header, ";")) {
        part = trim(part);
        if (!starts_with_ignoring_case(part, name))
            continue;
        std::string_view value = trim(part.substr(name.size()));
        if (!value.starts_with('='))
            continue;
        value = trim(value.substr(1));
        if (value.starts_with('"'))
            return std::string(value.substr(1, value.find('"', 1) - 1));
        return std::string(value.substr(0, value.find_first_of(" \t\r\n")));
    }
    return std::nullopt;
}

class MessageWalk
{
public:
    MessageWalk(std::string_view message, const MessageKeyOptions& options)
        : rest_(message), options_(options)
    {
    }

    std::vector<std::string> run() &&
    {
        while (!rest_.empty())
            take_line();
        end_header();
        return std::move(keys_);
    }

private:
    static constexpr std::size_t nesting_limit = 100;

    void take_line()
    {
        const auto end = std::min(rest_.find('\n'), rest_.size());
        std::string_view line = rest_.substr(0, end);
        rest_.remove_prefix(std::min(end + 1, rest_.size()));
        if (line.ends_with('\r'))
            line.remove_suffix(1);
        if (options_.parse_mime && at_boundary(line))
            return;
        if (!in_headers_)
            return take_body(line);
        if (is_header_continuation(line)) {
            header_.append("\n").append(line);
            return;
        }
        end_header();
        const auto colon = line.find(':');
        if (colon != line.npos && colon > 0 && line.substr(0, colon).find_first_of(" \t") == line.npos) {
            header_ = line;
            return;
        }
        end_headers();
        if (!line.empty())
            take_body(line);
    }

    bool is_header_continuation(std::string_view line) const
    {
        return !header_.empty() && !line.empty() && is_blank(line.front());
    }

    void take_body(std::string_view line)
    {
        if (options_.body)
            keys_.emplace_back(line);
    }

    void end_header()
    {
        if (header_.empty())
            return;
        if (options_.parse_mime && starts_with_ignoring_case(header_, "content-type:"))
            content_type_ = header_;
        if (options_.headers && (depth_ == 0 || options_.parse_mime))
            keys_.push_back(header_);
        header_.clear();
    }

    // An empty line: what the body is depends on the type.
    void end_headers()
    {
        in_headers_ = false;
        const std::string_view type =
            trim(std::string_view(content_type_)
                     .substr(std::min(content_type_.size(), std::string_view("content-type:").size())));
        if (starts_with_ignoring_case(type, "multipart/") && boundaries_.size() < nesting_limit) {
            if (auto boundary = parameter_of(type, "boundary"); boundary && !boundary->empty())
                boundaries_.push_back(*std::move(boundary));
        } else if (starts_with_ignoring_case(type, "message/rfc822") && depth_ < nesting_limit) {
            in_headers_ = true;
            ++depth_;
        }
        content_type_.clear();
    }

    bool at_boundary(std::string_view line)
    {
        if (!line.starts_with("--"))
            return false;
        for (std::size_t i = boundaries_.size(); i > 0; --i) {
            const std::string& boundary = boundaries_[i - 1];
            if (!line.substr(2).starts_with(boundary))
                continue;
            end_header();
            const bool is_last = line.substr(2 + boundary.size()).starts_with("--");
            boundaries_.resize(is_last ? i - 1 : i);
            in_headers_ = !is_last;
            content_type_.clear();
            return true;
        }
        return false;
    }

    std::string_view rest_;
    const MessageKeyOptions& options_;
    std::vector<std::string> keys_;
    std::vector<std::string> boundaries_;
    std::string header_;
    std::string content_type_;
    std::size_t depth_ = 0; // messages in messages
    bool in_headers_ = true;
};

} // namespace

std::vector<std::string> message_keys(std::string_view message, const MessageKeyOptions& options)
{
    return MessageWalk(message, options).run();
}

} // namespace bulkhead
