#include "spool/record.h"

#include "base/text.h"

#include <fmt/format.h>

#include <iterator>

namespace bulkhead
{

static constexpr unsigned length_bits = 28; // four bytes of seven bits

// The next record; nullopt at a clean end.  The view lives as long as the input.
Result<std::optional<Record>> RecordReader::next()
{
    if (rest_.empty())
        return std::optional<Record>{};
    const auto type = static_cast<RecordType>(rest_.front());
    rest_.remove_prefix(1);
    TRY(const std::size_t size, length());
    if (size > rest_.size())
        return Error{Fault::malformed, "record data is cut short"};
    const Record record{type, rest_.substr(0, size)};
    rest_.remove_prefix(size);
    return std::optional{record};
}

// Seven bits per byte, low bits first; the top bit says "more follows".
Result<std::size_t> RecordReader::length()
{
    std::size_t size = 0;
    for (unsigned shift = 0; shift < length_bits && !rest_.empty(); shift += 7) {
        const auto byte = static_cast<unsigned char>(rest_.front());
        rest_.remove_prefix(1);
        size |= std::size_t{byte & 0x7fu} << shift;
        if (byte < 0x80)
            return size;
    }
    return Error{Fault::malformed, "record length is cut short or too long"};
}

Result<RecordPeek> peek_record(std::string_view bytes)
{
    RecordPeek peek;
    std::size_t size = 0;
    std::size_t at = 1;
    for (unsigned shift = 0; shift < length_bits; shift += 7) {
        if (at >= bytes.size()) {
            peek.needed = at + 1;
            return peek;
        }
        const auto byte = static_cast<unsigned char>(bytes[at++]);
        size |= std::size_t{byte & 0x7fu} << shift;
        if (byte >= 0x80)
            continue;
        peek.needed = at + size;
        if (peek.needed > bytes.size())
            return peek;
        peek.record = {static_cast<RecordType>(bytes.front()), bytes.substr(at, size)};
        peek.encoded = peek.needed;
        return peek;
    }
    return Error{Fault::malformed, "record length is too long"};
}

static void append_header(std::string& out, RecordType type, std::size_t size)
{
    ensure(size < std::size_t{1} << length_bits, "record data fits the length of a record");
    out += static_cast<char>(type);
    while (size >= 0x80) {
        out += static_cast<char>(size | 0x80);
        size >>= 7;
    }
    out += static_cast<char>(size);
}

void append_record(std::string& out, RecordType type, std::string_view data)
{
    append_header(out, type, data.size());
    out += data;
}

void append_attribute(std::string& out, std::string_view name, std::string_view value)
{
    append_header(out, RecordType::attribute, name.size() + 1 + value.size());
    out += name;
    out += '=';
    out += value;
}

void append_text(std::string& out, std::string_view line)
{
    for (; line.size() > max_text_record; line.remove_prefix(max_text_record))
        append_record(out, RecordType::text_part, line.substr(0, max_text_record));
    append_record(out, RecordType::text, line);
}

void append_unfinished_text(std::string& out, std::string_view line)
{
    for (; line.size() > max_text_record; line.remove_prefix(max_text_record))
        append_record(out, RecordType::text_part, line.substr(0, max_text_record));
    append_record(out, RecordType::text_part, line);
    append_record(out, RecordType::text, {});
}

void append_fixed_number(std::string& out, RecordType type, std::int64_t number)
{
    char digits[24];
    const auto end = fmt::format_to(digits, "{:15}", number);
    append_record(out, type, {digits, static_cast<std::size_t>(end - digits)});
}

std::optional<std::int64_t> parse_fixed_number(std::string_view data)
{
    while (!data.empty() && is_blank(data.front()))
        data.remove_prefix(1);
    const bool negative = !data.empty() && data.front() == '-';
    if (negative)
        data.remove_prefix(1);
    const auto magnitude = parse_unsigned(data);
    if (!magnitude || *magnitude > INT64_MAX)
        return std::nullopt;
    const auto value = static_cast<std::int64_t>(*magnitude);
    return negative ? -value : value;
}

std::optional<AttributeView> parse_attribute(std::string_view data)
{
    const std::size_t equals = data.find('=');
    if (equals == std::string_view::npos || equals == 0)
        return std::nullopt;
    return AttributeView{data.substr(0, equals), data.substr(equals + 1)};
}

std::size_t encoded_size(std::size_t data_size)
{
    std::size_t size = 2 + data_size;
    for (std::size_t rest = data_size; rest >= 0x80; rest >>= 7)
        ++size;
    return size;
}

} // namespace bulkhead
