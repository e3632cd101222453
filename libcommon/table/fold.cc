#include "table/fold.h"

#include "base/text.h"

#include <locale.h>
#include <wctype.h>

#include <cstdint>

namespace bulkhead
{

// The code point at the front of valid UTF-8; text then begins behind it.
static char32_t take_code_point(std::string_view& text)
{
    const auto first = static_cast<unsigned char>(text.front());
    const std::size_t size = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    char32_t point = size == 1 ? first : first & (0x7fu >> size);
    for (std::size_t i = 1; i < size; ++i)
        point = (point << 6) | (static_cast<unsigned char>(text[i]) & 0x3fu);
    text.remove_prefix(size);
    return point;
}

static void append_code_point(std::string& text, char32_t point)
{
    const auto byte = [&](char32_t value) { text.push_back(static_cast<char>(value)); };
    if (point < 0x80) {
        byte(point);
    } else if (point < 0x800) {
        byte(0xc0 | (point >> 6));
        byte(0x80 | (point & 0x3f));
    } else if (point < 0x10000) {
        byte(0xe0 | (point >> 12));
        byte(0x80 | ((point >> 6) & 0x3f));
        byte(0x80 | (point & 0x3f));
    } else {
        byte(0xf0 | (point >> 18));
        byte(0x80 | ((point >> 12) & 0x3f));
        byte(0x80 | ((point >> 6) & 0x3f));
        byte(0x80 | (point & 0x3f));
    }
}

std::string fold_key(std::string_view key, bool utf8)
{
    if (!utf8 || !has_8bit(key) || !is_valid_utf8(key))
        return lower(key);
    static const locale_t unicode = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
    std::string folded;
    while (!key.empty()) {
        const char32_t point = take_code_point(key);
        if (point == U'ß' || point == U'ẞ')
            folded += "ss";
        else if (point == U'ς')
            folded += "σ";
        else if (point == U'ſ')
            folded += 's';
        else if (point < 0x80 || unicode == nullptr)
            append_code_point(
                folded, point < 0x80 ? static_cast<char32_t>(ascii_lower(static_cast<char>(point))) : point);
        else
            append_code_point(folded,
                              static_cast<char32_t>(::towlower_l(static_cast<wint_t>(point), unicode)));
    }
    return folded;
}

} // namespace bulkhead
