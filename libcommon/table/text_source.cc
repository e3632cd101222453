#include "table/text_source.h"

#include "base/text.h"
#include "config/logical_lines.h"

#include <fmt/format.h>

#include <optional>

namespace bulkhead
{

// A word in double quotes with \ escapes at the front of text, without the quotes; text
// then begins behind it.  nullopt if there is no closing quote.
static std::optional<std::string> take_quoted(std::string_view& text)
{
    std::string word;
    for (std::size_t i = 1; i < text.size(); ++i) {
        if (text[i] == '"') {
            text.remove_prefix(i + 1);
            return word;
        }
        if (text[i] == '\\' && i + 1 < text.size())
            ++i;
        word.push_back(text[i]);
    }
    return std::nullopt;
}

TextSource TextSource::parse_map(std::string_view text, std::string_view file, bool fold)
{
    TextSource source;
    LogicalLines lines(text);
    const auto warn = [&](std::string_view reason) {
        source.warnings.push_back(fmt::format("{}, line {}: {}", file, lines.number(), reason));
    };
    while (lines.next()) {
        std::string_view rest = trim(lines.text());
        std::optional<std::string> key;
        if (rest.starts_with('"')) {
            key = take_quoted(rest);
        } else {
            const auto end = std::min(rest.find_first_of(" \t"), rest.size());
            key = std::string(rest.substr(0, end));
            rest.remove_prefix(end);
        }
        const std::string_view value = trim(rest);
        if (!key || key->empty() || value.empty()) {
            warn("expected format: key whitespace value");
            continue;
        }
        if (key->ends_with(':'))
            warn("record is in \"key: value\" format; is this an alias file?");
        source.entries.push_back({fold ? lower(*key) : *key, std::string(value), lines.number()});
    }
    return source;
}

TextSource TextSource::parse_aliases(std::string_view text, std::string_view file, bool fold)
{
    TextSource source;
    LogicalLines lines(text);
    while (lines.next()) {
        std::string_view rest = trim(lines.text());
        std::optional<std::string> key;
        if (rest.starts_with('"')) {
            key = take_quoted(rest);
            rest = trim(rest);
        } else {
            const auto end = std::min(rest.find(':'), rest.size());
            key = std::string(trim(rest.substr(0, end)));
            rest.remove_prefix(end);
        }
        const bool has_colon = rest.starts_with(':');
        const std::string_view value = has_colon ? trim(rest.substr(1)) : std::string_view{};
        if (!key || key->empty() || value.empty()) {
            source.warnings.push_back(fmt::format("{}, line {}: need name:value pair", file, lines.number()));
            continue;
        }
        source.entries.push_back({fold ? lower(*key) : *key, std::string(value), lines.number()});
    }
    return source;
}

} // namespace bulkhead
