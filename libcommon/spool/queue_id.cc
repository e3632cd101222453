#include "spool/queue_id.h"

#include "base/text.h"

#include <fmt/format.h>

#include <algorithm>

namespace bulkhead
{

// No vowels, so that no id spells a word; 'z' is 51, so base 51 never prints it.
static constexpr std::string_view digits = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";
static constexpr std::size_t short_time_width = 5;
static constexpr std::size_t long_seconds_width = 6;
static constexpr std::size_t long_microseconds_width = 4;
static constexpr std::size_t first_long_mark = long_seconds_width + long_microseconds_width;

static std::string encode(std::uint64_t value, unsigned base, std::size_t width)
{
    std::string text;
    for (; value != 0; value /= base)
        text += digits[value % base];
    if (text.size() < width)
        text.append(width - text.size(), '0');
    std::ranges::reverse(text);
    return text;
}

static std::optional<std::uint64_t> decode(std::string_view text, unsigned base)
{
    std::uint64_t value = 0;
    for (const char c : text) {
        const std::size_t digit = digits.find(c);
        if (digit >= base || __builtin_mul_overflow(value, base, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return std::nullopt;
    }
    return text.empty() ? std::nullopt : std::optional(value);
}

static std::optional<std::uint64_t> decode_hex(std::string_view text)
{
    if (text.empty() || text.size() > 16)
        return std::nullopt;
    std::uint64_t value = 0;
    for (const char c : text) {
        if (!is_digit(c) && (c < 'A' || c > 'F'))
            return std::nullopt;
        value = value << 4 | static_cast<unsigned>(is_digit(c) ? c - '0' : c - 'A' + 10);
    }
    return value;
}

// Index of the 'z' that makes an id a long one, npos if it is none.
static std::size_t long_mark(std::string_view text)
{
    const std::size_t at = text.rfind('z');
    return at != std::string_view::npos && at >= first_long_mark ? at : std::string_view::npos;
}

bool QueueId::is_valid(std::string_view text)
{
    return !text.empty() && text.size() <= max_length &&
           std::ranges::all_of(text, [](char c) { return is_alpha(c) || is_digit(c) || c == '_'; });
}

Result<QueueId> QueueId::parse(std::string_view text)
{
    if (!is_valid(text))
        return Error{Fault::malformed,
                     fmt::format("not a queue id: {}", printable(text.substr(0, max_length)))};
    return QueueId(std::string(text));
}

QueueId QueueId::make_short(const WallTime& named, std::uint64_t inode)
{
    return QueueId(fmt::format("{:05X}{:X}", named.microseconds, inode));
}

QueueId QueueId::make_long(const WallTime& named, std::uint64_t inode)
{
    std::string text = encode(static_cast<std::uint64_t>(named.seconds), 52, long_seconds_width);
    text += encode(static_cast<std::uint64_t>(named.microseconds), 52, long_microseconds_width);
    text += 'z';
    text += encode(inode, 51, 1);
    return QueueId(std::move(text));
}

bool QueueId::is_long() const
{
    return long_mark(text_) != std::string_view::npos;
}

std::optional<std::uint64_t> QueueId::inode() const
{
    const std::string_view text = text_;
    if (const std::size_t mark = long_mark(text); mark != std::string_view::npos)
        return decode(text.substr(mark + 1), 51);
    return text.size() > short_time_width ? decode_hex(text.substr(short_time_width)) : std::nullopt;
}

std::optional<WallTime> QueueId::time() const
{
    const std::string_view text = text_;
    const std::size_t mark = long_mark(text);
    if (mark == std::string_view::npos)
        return std::nullopt;
    const auto seconds = decode(text.substr(0, mark - long_microseconds_width), 52);
    const auto microseconds =
        decode(text.substr(mark - long_microseconds_width, long_microseconds_width), 52);
    if (!seconds || !microseconds || *seconds > INT64_MAX || *microseconds > 999'999)
        return std::nullopt;
    return WallTime{static_cast<std::int64_t>(*seconds), static_cast<std::int32_t>(*microseconds)};
}

std::string QueueId::hash_characters(unsigned depth) const
{
    const auto named = time();
    std::string key = named ? fmt::format("{:05X}", named->microseconds) : text_;
    key.resize(std::min(depth, max_hash_depth), '_');
    return key;
}

} // namespace bulkhead
