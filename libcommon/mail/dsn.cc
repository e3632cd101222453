#include "mail/dsn.h"

#include "base/text.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

namespace bulkhead
{

namespace
{

constexpr std::string_view hex_digits = "0123456789ABCDEF";

Error bad(std::string text)
{
    return Error{Fault::malformed, std::move(text)};
}

int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    const char low = ascii_lower(c);
    return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

void append_utf8(std::string& out, std::uint32_t point)
{
    const auto tail = [&](unsigned shift) {
        out.push_back(static_cast<char>(0x80 | ((point >> shift) & 0x3f)));
    };
    if (point < 0x80) {
        out.push_back(static_cast<char>(point));
    } else if (point < 0x800) {
        out.push_back(static_cast<char>(0xc0 | (point >> 6)));
        tail(0);
    } else if (point < 0x10000) {
        out.push_back(static_cast<char>(0xe0 | (point >> 12)));
        tail(6);
        tail(0);
    } else {
        out.push_back(static_cast<char>(0xf0 | (point >> 18)));
        tail(12);
        tail(6);
        tail(0);
    }
}

// "\x{E9}" of RFC 6533, section 3, to UTF-8.
Result<std::string> decode_hex_points(std::string_view text)
{
    std::string out;
    while (!text.empty()) {
        if (text.front() != '\\') {
            out.push_back(text.front());
            text.remove_prefix(1);
            continue;
        }
        const auto end = text.find('}');
        if (!text.starts_with("\\x{") || end == std::string_view::npos || end == 3 || end > 9)
            return bad("bad \\x{} in address");
        std::uint32_t point = 0;
        for (const char c : text.substr(3, end - 3)) {
            if (hex_value(c) < 0)
                return bad("bad \\x{} in address");
            point = point * 16 + static_cast<std::uint32_t>(hex_value(c));
        }
        if (point < 0x20 || point == 0x7f || point > 0x10ffff)
            return bad("control character in address");
        append_utf8(out, point);
        text.remove_prefix(end + 1);
    }
    if (!is_valid_utf8(out))
        return bad("address is not valid UTF-8");
    return out;
}

// The code point of the valid UTF-8 sequence at the front, which is removed.
std::uint32_t take_point(std::string_view& text)
{
    const auto lead = static_cast<unsigned char>(text.front());
    const std::size_t size = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    std::uint32_t point = size == 1 ? lead : lead & (0x7fu >> size);
    for (std::size_t i = 1; i < size; ++i)
        point = (point << 6) | (static_cast<unsigned char>(text[i]) & 0x3f);
    text.remove_prefix(size);
    return point;
}

std::string encode_hex_points(std::string_view text)
{
    std::string out;
    while (!text.empty()) {
        const std::uint32_t point = take_point(text);
        if (point > 0x20 && point < 0x7f && point != '+' && point != '=' && point != '\\') {
            out.push_back(static_cast<char>(point));
            continue;
        }
        std::string digits;
        for (std::uint32_t rest = point; rest > 0 || digits.size() < 2; rest /= 16)
            digits.insert(digits.begin(), hex_digits[rest % 16]);
        out.append("\\x{").append(digits).append("}");
    }
    return out;
}

constexpr std::array<std::pair<std::string_view, unsigned>, 3> notify_words = {{
    {"SUCCESS", notify::success},
    {"FAILURE", notify::failure},
    {"DELAY", notify::delay},
}};

} // namespace

std::string encode_xtext(std::string_view text)
{
    std::string out;
    for (const char c : text) {
        if (c > ' ' && c <= '~' && c != '+' && c != '=') {
            out.push_back(c);
            continue;
        }
        const auto byte = static_cast<unsigned char>(c);
        out.push_back('+');
        out.push_back(hex_digits[byte >> 4]);
        out.push_back(hex_digits[byte & 15]);
    }
    return out;
}

Result<std::string> decode_xtext(std::string_view text, bool utf8)
{
    std::string out;
    while (!text.empty()) {
        char c = text.front();
        if (c == '+') {
            const int high = text.size() > 2 ? hex_value(text[1]) : -1;
            const int low = text.size() > 2 ? hex_value(text[2]) : -1;
            if (high < 0 || low < 0)
                return bad("bad xtext: '+' without two hexadecimal digits");
            c = static_cast<char>(high * 16 + low);
            if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
                return bad("bad xtext: encoded control character");
            text.remove_prefix(2);
        } else if (static_cast<unsigned char>(c) >= 0x80 ? !utf8 : c <= ' ' || c > '~' || c == '=') {
            return bad("bad xtext: character must be encoded");
        }
        out.push_back(c);
        text.remove_prefix(1);
    }
    if (utf8 && !is_valid_utf8(out))
        return bad("bad xtext: not valid UTF-8");
    return out;
}

Result<unsigned> parse_notify(std::string_view text)
{
    if (equals_ignoring_case(text, "NEVER"))
        return notify::never;
    unsigned mask = 0;
    for (;;) {
        const auto comma = text.find(',');
        const auto word = text.substr(0, comma);
        const auto same = [&](const auto& row) { return equals_ignoring_case(row.first, word); };
        const auto row = std::ranges::find_if(notify_words, same);
        if (row == notify_words.end())
            return bad("bad NOTIFY value");
        mask |= row->second;
        if (comma == std::string_view::npos)
            return mask;
        text.remove_prefix(comma + 1);
    }
}

std::string notify_text(unsigned mask)
{
    if (mask & notify::never)
        return "NEVER";
    std::string out;
    for (const auto& [word, bit] : notify_words)
        if (mask & bit)
            out.append(out.empty() ? "" : ",").append(word);
    return out;
}

Result<Ret> parse_ret(std::string_view text)
{
    if (equals_ignoring_case(text, "FULL"))
        return Ret::full;
    if (equals_ignoring_case(text, "HDRS"))
        return Ret::headers;
    return bad("bad RET value");
}

std::string_view ret_text(Ret ret)
{
    switch (ret) {
    case Ret::full:
        return "FULL";
    case Ret::headers:
        return "HDRS";
    case Ret::none:
        break;
    }
    return {};
}

Result<std::string> parse_envid(std::string_view text)
{
    if (text.empty() || text.size() > envid_limit)
        return bad("bad ENVID length");
    TRY(std::string id, decode_xtext(text));
    if (has_8bit(id))
        return bad("bad ENVID: not ASCII");
    return id;
}

Result<OriginalRecipient> parse_orcpt(std::string_view text, bool utf8)
{
    const auto semicolon = text.find(';');
    if (text.size() > orcpt_limit || semicolon == std::string_view::npos || semicolon == 0)
        return bad("bad ORCPT: not type;address");
    const auto type = text.substr(0, semicolon);
    const auto type_byte = [](char c) { return is_alpha(c) || is_digit(c) || c == '-'; };
    if (!std::ranges::all_of(type, type_byte))
        return bad("bad ORCPT type");
    const bool utf8_type = equals_ignoring_case(type, "utf-8");
    TRY(std::string address, decode_xtext(text.substr(semicolon + 1), utf8 && utf8_type));
    if (utf8_type) {
        TRY(address, decode_hex_points(address));
    }
    if (address.empty())
        return bad("bad ORCPT: empty address");
    return OriginalRecipient{std::string(type), std::move(address)};
}

std::string encode_orcpt(std::string_view stored)
{
    const auto semicolon = std::min(stored.find(';'), stored.size());
    const auto type = stored.substr(0, semicolon);
    const auto address = stored.substr(std::min(semicolon + 1, stored.size()));
    const bool points = equals_ignoring_case(type, "utf-8") && is_valid_utf8(address);
    return std::string(type) + ';' + (points ? encode_hex_points(address) : encode_xtext(address));
}

std::string EnhancedStatus::text() const
{
    return std::to_string(status_class) + '.' + std::to_string(subject) + '.' + std::to_string(detail);
}

std::optional<EnhancedStatus> parse_status(std::string_view text)
{
    std::array<int, 3> numbers{};
    for (std::size_t i = 0; i < numbers.size(); ++i) {
        const auto part = text.substr(0, i < 2 ? text.find('.') : text.size());
        const auto number = part.size() <= 3 ? parse_unsigned(part) : std::nullopt;
        if (!number || (i < 2 && part.size() == text.size()))
            return std::nullopt;
        numbers[i] = static_cast<int>(*number);
        text.remove_prefix(std::min(part.size() + 1, text.size()));
    }
    if (numbers[0] != 2 && numbers[0] != 4 && numbers[0] != 5)
        return std::nullopt;
    return EnhancedStatus{numbers[0], numbers[1], numbers[2]};
}

StatusAndText split_status(std::string_view text)
{
    const auto end = std::min(text.find_first_of(" \t"), text.size());
    const auto status = parse_status(text.substr(0, end));
    if (!status)
        return {std::nullopt, text};
    const auto rest = text.find_first_not_of(" \t", end);
    return {status, rest == std::string_view::npos ? std::string_view{} : text.substr(rest)};
}

} // namespace bulkhead
