#include "mail/encoded_words.h"

#include <algorithm>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr std::size_t word_limit = 75;

// RFC 2047, 5 (3): the letters that a phrase may have as they are.
bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("!*+-/").find(c) != std::string_view::npos;
}

bool goes_on(char c)
{
    return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}

// One character in "Q": a byte, or a sequence of UTF-8.
std::string quoted(std::string_view character)
{
    std::string text;
    for (const char c : character)
        if (c == ' ')
            text += '_';
        else if (is_plain(c))
            text += c;
        else
            text += fmt::format("={:02X}", static_cast<unsigned char>(c));
    return text;
}

} // namespace

std::string encoded_words(std::string_view text, std::string_view charset)
{
    const std::string head = fmt::format("=?{}?Q?", charset);
    constexpr std::string_view tail = "?=";
    const std::size_t room = word_limit - std::min(word_limit - 1, head.size() + tail.size());
    std::string words;
    std::string word;
    const auto end_word = [&] {
        words += (words.empty() ? "" : " ") + head + word + std::string(tail);
        word.clear();
    };
    while (!text.empty()) {
        std::size_t size = 1;
        while (size < 4 && size < text.size() && goes_on(text[size]))
            ++size;
        const std::string character = quoted(text.substr(0, size));
        text.remove_prefix(size);
        if (!word.empty() && word.size() + character.size() > room)
            end_word();
        word += character;
    }
    if (!word.empty())
        end_word();
    return words;
}

} // namespace bulkhead
