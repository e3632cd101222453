#include "smtp/data_reader.h"

#include <algorithm>
#include <cstring>

namespace bulkhead
{

DataReader::DataReader(std::size_t line_limit, Framing framing)
    : line_limit_(std::max<std::size_t>(line_limit, 1)), dots_(framing == Framing::dots)
{
}

std::size_t DataReader::feed(std::string_view bytes, DataSink& sink)
{
    std::size_t used = 0;
    while (used < bytes.size() && !finished_) {
        const auto rest = bytes.substr(used);
        const auto* const newline = static_cast<const char*>(std::memchr(rest.data(), '\n', rest.size()));
        if (newline == nullptr) {
            add_part(rest, sink);
            return bytes.size();
        }
        const auto text = rest.substr(0, static_cast<std::size_t>(newline - rest.data()));
        used += text.size() + 1;
        if (part_.empty()) {
            end_line(text, sink);
            continue;
        }
        add_part(text, sink);
        end_line(part_, sink);
        part_.clear();
    }
    return used;
}

// Keeps what may still be needed to judge the line: its first bytes until they
// cannot be the end of the message, and a last byte that may be the CR of CR LF.
void DataReader::add_part(std::string_view bytes, DataSink& sink)
{
    part_.append(bytes);
    if (part_.size() <= line_limit_ + 2)
        return;
    std::string_view text = part_;
    if (dots_ && at_line_start_ && text.front() == '.')
        text.remove_prefix(1);
    while (text.size() > line_limit_ + 1) {
        emit(text.substr(0, line_limit_), false, sink);
        text.remove_prefix(line_limit_);
    }
    at_line_start_ = false;
    part_.erase(0, part_.size() - text.size());
}

void DataReader::finish(DataSink& sink)
{
    finished_ = true;
    if (part_.empty())
        return;
    std::string_view text = part_;
    while (text.size() > line_limit_) {
        emit(text.substr(0, line_limit_), false, sink);
        text.remove_prefix(line_limit_);
    }
    emit(text, true, sink);
    part_.clear();
}

// text: all of the line that the sink has not seen, without the LF.
void DataReader::end_line(std::string_view text, DataSink& sink)
{
    const bool crlf = text.ends_with('\r');
    if (crlf)
        text.remove_suffix(1);
    else
        saw_bare_newline_ = true;

    if (dots_ && at_line_start_ && text.starts_with('.')) {
        if (text.size() > 1) {
            text.remove_prefix(1);
        } else if (crlf && after_crlf_) {
            finished_ = true;
            return;
        }
        // A lone dot beside a bare LF is text; the sending side doubles it again.
    }
    while (text.size() > line_limit_) {
        emit(text.substr(0, line_limit_), false, sink);
        text.remove_prefix(line_limit_);
    }
    emit(text, true, sink);
    at_line_start_ = true;
    after_crlf_ = crlf;
}

void DataReader::emit(std::string_view text, bool complete, DataSink& sink)
{
    size_ += text.size() + (complete ? 2 : 0);
    if (text.empty() || std::memchr(text.data(), '\r', text.size()) == nullptr) {
        sink.line(text, complete);
        return;
    }
    saw_bare_return_ = true;
    clean_ = text;
    std::ranges::replace(clean_, '\r', ' ');
    sink.line(clean_, complete);
}

} // namespace bulkhead
