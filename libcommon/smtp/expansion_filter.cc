#include "smtp/expansion_filter.h"

#include <algorithm>

namespace bulkhead
{

namespace
{

std::string unescaped(std::string_view text)
{
    std::string plain;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\' || i + 1 == text.size()) {
            plain += text[i];
            continue;
        }
        const char c = text[++i];
        if (c < '0' || c > '7') {
            plain += c == 't' ? '\t' : c == 'n' ? '\n' : c == 'r' ? '\r' : c;
            continue;
        }
        unsigned code = 0;
        std::size_t digits = 0;
        for (; digits < 3 && i + digits < text.size() && text[i + digits] >= '0' && text[i + digits] <= '7';
             ++digits)
            code = code * 8 + static_cast<unsigned>(text[i + digits] - '0');
        i += digits - 1;
        plain += static_cast<char>(code);
    }
    return plain;
}

} // namespace

ExpansionFilter::ExpansionFilter(std::string_view escaped) : allowed_(unescaped(escaped)) {}

std::string ExpansionFilter::filtered(std::string text) const
{
    std::ranges::replace_if(text, [this](char c) { return allowed_.find(c) == std::string::npos; }, '_');
    return text;
}

} // namespace bulkhead
