#include "down_conversion.h"

#include "base/text.h"
#include "sasl/base64.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr std::size_t encoded_line_limit = 76;
constexpr std::size_t base64_line_bytes = encoded_line_limit / 4 * 3;
constexpr std::size_t word_bytes = 36; // of an encoded word: 48 characters and the charset

bool is_8bit(char c)
{
    return static_cast<unsigned char>(c) >= 0x80;
}

bool is_free_text(const HeaderField& field)
{
    return field.is("Subject") || field.is("Comments") || field.is("Content-Description");
}

} // namespace

void DownConversionPlan::end_of_header(std::size_t part, const PartHead& head, bool)
{
    changes_.resize(part + 1);
    is_encodable_ = head.is_encodable();
    is_text_ = head.type.type.empty() || head.type.type == "text";
    if (is_encodable_ && (head.encoding == "8bit" || head.encoding == "binary"))
        changes_[part] = PartChange::label_7bit; // until 8-bit bytes are seen
    bytes_ = bytes_8bit_ = 0;
    has_controls_ = false;
}

void DownConversionPlan::body(std::size_t, std::string_view text, bool)
{
    bytes_ += text.size();
    bytes_8bit_ += static_cast<std::uint64_t>(std::ranges::count_if(text, is_8bit));
    has_controls_ = has_controls_ || text.find('\0') != std::string_view::npos;
}

// Text stays readable on its way; other data takes base64 where quoted-printable would be longer.
void DownConversionPlan::end_of_body(std::size_t part, bool)
{
    if (!is_encodable_ || (bytes_8bit_ == 0 && !has_controls_))
        return;
    const bool is_readable = !has_controls_ && (is_text_ || bytes_8bit_ * 6 < bytes_);
    changes_[part] = is_readable ? PartChange::quoted_printable : PartChange::base64;
}

std::vector<PartChange> DownConversionPlan::finish()
{
    parts_.finish();
    return std::move(changes_);
}

void QuotedPrintableWriter::add(std::string_view token, const LineSink& out)
{
    if (line_.size() + token.size() >= encoded_line_limit) {
        line_ += '=';
        out(line_, true);
        line_.clear();
        is_soft_ = true;
    }
    // A line that begins here must not look like a boundary.
    line_ += line_.empty() && is_soft_ && token == "-" ? "=2D" : token;
}

void QuotedPrintableWriter::line(std::string_view text, bool complete, const LineSink& out)
{
    const auto encoded = [](char c) { return fmt::format("={:02X}", static_cast<unsigned char>(c)); };
    for (const char c : text) {
        if (const char blank = std::exchange(blank_, 0))
            add({&blank, 1}, out);
        if (c == ' ' || c == '\t')
            blank_ = c;
        else if (c > ' ' && c <= '~' && c != '=')
            add({&c, 1}, out);
        else
            add(encoded(c), out);
    }
    if (!complete)
        return;
    if (const char blank = std::exchange(blank_, 0))
        add(encoded(blank), out);
    out(line_, true);
    line_.clear();
    is_soft_ = false;
}

void QuotedPrintableWriter::finish(const LineSink& out)
{
    if (!line_.empty() || blank_)
        line({}, true, out);
    is_soft_ = false;
}

void Base64Writer::add(std::string_view bytes, const LineSink& out)
{
    bytes_ += bytes;
    std::size_t done = 0;
    for (; bytes_.size() - done >= base64_line_bytes; done += base64_line_bytes)
        out(sasl::encode_base64(std::string_view(bytes_).substr(done, base64_line_bytes)), true);
    bytes_.erase(0, done);
}

void Base64Writer::line(std::string_view text, bool complete, const LineSink& out)
{
    if (std::exchange(owes_line_end_, complete))
        add("\r\n", out);
    add(text, out);
}

void Base64Writer::finish(bool at_boundary, const LineSink& out)
{
    if (std::exchange(owes_line_end_, false) && !at_boundary)
        add("\r\n", out);
    if (!bytes_.empty())
        out(sasl::encode_base64(bytes_), true);
    bytes_.clear();
}

void DownConverter::line(std::string_view text, bool complete, const LineSink& out)
{
    out_ = &out;
    parts_.line(text, complete);
}

void DownConverter::finish(const LineSink& out)
{
    out_ = &out;
    parts_.finish();
}

// A second pass that sees more parts than the first one changes nothing in those.
PartChange DownConverter::change_of(std::size_t part) const
{
    return part < changes_.size() ? changes_[part] : PartChange::none;
}

void DownConverter::write_label(std::size_t part)
{
    const PartChange change = change_of(part);
    const char* label = change == PartChange::base64             ? "base64"
                        : change == PartChange::quoted_printable ? "quoted-printable"
                                                                 : "7bit";
    (*out_)(fmt::format("Content-Transfer-Encoding: {}", label), true);
    is_labelled_ = true;
}

void DownConverter::write_lines(std::string_view raw)
{
    for (;;) {
        const auto end = raw.find('\n');
        (*out_)(raw.substr(0, end), true);
        if (end == std::string_view::npos)
            return;
        raw.remove_prefix(end + 1);
    }
}

void DownConverter::field(std::size_t part, const HeaderField& field)
{
    has_type_ = has_type_ || field.is("Content-Type");
    has_version_ = has_version_ || field.is("MIME-Version");
    if (field.is("Content-Transfer-Encoding") && change_of(part) != PartChange::none) {
        if (!is_labelled_)
            write_label(part);
        return;
    }
    write_lines(is_free_text(field) && std::ranges::any_of(field.raw, is_8bit) ? encode_words(field)
                                                                               : field.raw);
}

void DownConverter::end_of_header(std::size_t part, const PartHead& head, bool blank_line)
{
    const PartChange change = change_of(part);
    const bool converts = change == PartChange::quoted_printable || change == PartChange::base64;
    if (converts && !is_labelled_) {
        if (head.is_message && !has_version_)
            (*out_)("MIME-Version: 1.0", true);
        if (head.is_message && !has_type_)
            (*out_)("Content-Type: text/plain; charset=unknown-8bit", true); // RFC 1428
        write_label(part);
    }
    if (blank_line || converts)
        (*out_)({}, true);
    is_labelled_ = has_type_ = has_version_ = false;
}

void DownConverter::body(std::size_t part, std::string_view text, bool complete)
{
    switch (change_of(part)) {
    case PartChange::quoted_printable:
        quoted_printable_.line(text, complete, *out_);
        break;
    case PartChange::base64:
        base64_.line(text, complete, *out_);
        break;
    case PartChange::none:
    case PartChange::label_7bit:
        (*out_)(text, complete);
        break;
    }
}

void DownConverter::end_of_body(std::size_t part, bool at_boundary)
{
    if (change_of(part) == PartChange::quoted_printable)
        quoted_printable_.finish(*out_);
    else if (change_of(part) == PartChange::base64)
        base64_.finish(at_boundary, *out_);
}

void DownConverter::between(std::string_view text, bool complete)
{
    (*out_)(text, complete);
}

std::string encode_words(const HeaderField& field)
{
    const std::string value = unfold(field.body());
    const auto first = std::ranges::find_if(value, is_8bit) - value.begin();
    const auto last =
        static_cast<std::size_t>(std::find_if(value.rbegin(), value.rend(), is_8bit).base() - value.begin());
    // Whole words only.
    const std::size_t before = value.rfind(' ', static_cast<std::size_t>(first));
    const std::size_t begin = before == std::string::npos ? 0 : before + 1;
    const std::size_t end = std::min(value.find(' ', last), value.size());

    const std::string_view charset = is_valid_utf8(value) ? "utf-8" : "unknown-8bit";
    std::string result = fmt::format("{}:{}", field.name, value.substr(0, begin));
    if (begin == 0)
        result += ' ';
    std::string_view rest = std::string_view(value).substr(begin, end - begin);
    while (!rest.empty()) {
        std::size_t size = std::min(rest.size(), word_bytes);
        const auto is_inside_character = [&] {
            return size < rest.size() && (static_cast<unsigned char>(rest[size]) & 0xC0) == 0x80;
        };
        for (int i = 0; i < 3 && size > 1 && is_inside_character(); ++i)
            --size;
        result += fmt::format("=?{}?B?{}?=", charset, sasl::encode_base64(rest.substr(0, size)));
        rest.remove_prefix(size);
        if (!rest.empty())
            result += "\n ";
    }
    result += value.substr(end);
    return result;
}

} // namespace bulkhead
