#include "characters.h"

#include <algorithm>

namespace bulkhead
{

CharacterSet CharacterSet::parse(std::string_view text)
{
    constexpr std::string_view letters = "abfnrtv";
    constexpr std::string_view meanings = "\a\b\f\n\r\t\v";
    const auto is_octal = [](char c) { return c >= '0' && c <= '7'; };
    CharacterSet set;
    for (std::size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (c == '\\' && i + 1 < text.size()) {
            c = text[++i];
            if (const auto at = letters.find(c); at != letters.npos) {
                c = meanings[at];
            } else if (is_octal(c)) {
                unsigned value = 0;
                std::size_t digits = 0;
                for (; digits < 3 && i < text.size() && is_octal(text[i]); ++digits, ++i)
                    value = value * 8 + static_cast<unsigned>(text[i] - '0');
                --i;
                c = static_cast<char>(value & 0xffu);
            }
        }
        set.bytes_.set(static_cast<unsigned char>(c));
    }
    return set;
}

bool CharacterSet::meets(std::string_view text) const
{
    return std::ranges::any_of(text, [this](char c) { return contains(c); });
}

std::string CharacterSet::without(std::string_view text) const
{
    std::string kept;
    std::ranges::copy_if(text, std::back_inserter(kept), [this](char c) { return !contains(c); });
    return kept;
}

} // namespace bulkhead
