#include "table/text_source.h"

#include "base/text.h"
#include "config/logical_lines.h"
#include "table/fold.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>

namespace bulkhead
{

namespace
{

// What one logical line says; an error is why it is skipped.
using LineParser = Result<SourceEntry> (*)(std::string_view line);

// Where the key of a map line ends: at the first blank outside double quotes, which belong to
// the key.  nullopt if a quote is not closed.
std::optional<std::size_t> key_end(std::string_view line)
{
    bool is_quoted = false;
    for (std::size_t i = 0; i < line.size(); ++i) {
        if (!is_quoted && is_blank(line[i]))
            return i;
        if (line[i] == '"')
            is_quoted = !is_quoted;
        else if (is_quoted && line[i] == '\\')
            ++i;
    }
    return is_quoted ? std::nullopt : std::optional(line.size());
}

Result<SourceEntry> parse_map_line(std::string_view line)
{
    const auto end = key_end(line);
    if (!end)
        return Error{Fault::malformed,
                     fmt::format("unbalanced '\"' in '{}' -- ignoring this line", printable(line, true))};
    SourceEntry entry{std::string(line.substr(0, *end)), std::string(trim(line.substr(*end)))};
    if (entry.value.empty())
        return Error{Fault::malformed, "expected format: key whitespace value"};
    return entry;
}

// A piece of a mail header's syntax (RFC 5322, 3.2): a word, or one special character.
struct Token {
    enum class Kind { word, quoted, special } kind = Kind::word;
    std::string text; // as it is written
};

constexpr std::string_view specials = "<>@,;:.";

// The end of a piece that begins at `begin` and reaches to `close`, with \ escapes; nested when it
// can contain itself.
std::size_t closing(std::string_view text, std::size_t begin, char close, bool nests)
{
    int depth = 0;
    for (std::size_t i = begin; i < text.size(); ++i) {
        if (text[i] == '\\')
            ++i;
        else if (text[i] == close && (i > begin || close != '"')) {
            if (--depth <= 0)
                return i + 1;
        } else if (nests && text[i] == text[begin])
            ++depth;
    }
    return std::string_view::npos;
}

std::vector<Token> tokens_of(std::string_view text)
{
    std::vector<Token> tokens;
    for (std::size_t i = 0; i < text.size();) {
        const char c = text[i];
        std::size_t end = i + 1;
        if (is_blank(c)) {
            ++i;
            continue;
        }
        if (c == '"' || c == '(' || c == '[') {
            end = std::min(closing(text, i, c == '"' ? '"' : c == '(' ? ')' : ']', c == '('), text.size());
            tokens.push_back(
                {c == '"' ? Token::Kind::quoted : Token::Kind::word, std::string(text.substr(i, end - i))});
        } else if (specials.find(c) != specials.npos) {
            tokens.push_back({Token::Kind::special, std::string(1, c)});
        } else {
            for (end = i; end < text.size(); ++end) {
                if (text[end] == '\\' && end + 1 < text.size())
                    ++end;
                else if (is_blank(text[end]) || text[end] == '"' || text[end] == '(' || text[end] == '[' ||
                         specials.find(text[end]) != specials.npos)
                    break;
            }
            tokens.push_back({Token::Kind::word, std::string(text.substr(i, end - i))});
        }
        i = std::max(end, i + 1);
    }
    return tokens;
}

std::string without_quotes(const Token& token)
{
    std::string_view text = token.text;
    if (token.kind == Token::Kind::quoted) {
        text.remove_prefix(1);
        if (text.ends_with('"'))
            text.remove_suffix(1);
    }
    std::string plain;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 1 < text.size())
            ++i;
        plain.push_back(text[i]);
    }
    return plain;
}

// The tokens in one line: a blank between words and after commas.
std::string joined(std::vector<Token>::const_iterator begin, std::vector<Token>::const_iterator end,
                   bool unquote)
{
    std::string text;
    for (auto it = begin; it != end; ++it) {
        const bool follows_word = it != begin && std::prev(it)->kind != Token::Kind::special;
        const bool is_word = it->kind != Token::Kind::special || it->text == "<";
        // A command keeps its form: |"program argument".
        const bool is_command = it->kind == Token::Kind::quoted && text.ends_with('|');
        if (follows_word && is_word && !is_command)
            text.push_back(' ');
        text += unquote ? without_quotes(*it) : it->text;
        if (it->text == ",")
            text.push_back(' ');
    }
    return text;
}

Result<SourceEntry> parse_alias_line(std::string_view line)
{
    const Error no_pair{Fault::malformed, "need name:value pair"};
    const std::vector<Token> tokens = tokens_of(line);
    const auto is_special = [](std::string_view text) {
        return
            [text](const Token& token) { return token.kind == Token::Kind::special && token.text == text; };
    };
    const auto colon = std::ranges::find_if(tokens, is_special(":"));
    if (colon == tokens.begin() || colon == tokens.end() || std::next(colon) == tokens.end())
        return no_pair;
    if (std::any_of(tokens.begin(), colon, is_special(",")))
        return no_pair;
    if (std::any_of(tokens.begin(), colon, is_special("@")))
        return Error{Fault::malformed, "name must be local"};
    SourceEntry entry{joined(tokens.begin(), colon, true), joined(std::next(colon), tokens.end(), false)};
    if (entry.key.empty())
        return no_pair;
    return entry;
}

TextSource parse(std::string_view text, std::string_view file, bool fold, bool utf8, LineParser parse_line)
{
    TextSource source;
    LogicalLines lines(text);
    while (lines.next()) {
        // Keys and values are lines of text: nothing behind a NUL byte.
        const std::string_view line = std::string_view(lines.text()).substr(0, lines.text().find('\0'));
        const auto skip = [&](std::string_view reason) {
            source.warnings.push_back(fmt::format("{}, line {}: {}", file, lines.number(), reason));
        };
        if (line.empty())
            continue;
        if (is_blank(line.front())) {
            source.warnings.push_back(fmt::format("{}: logical line must not start with whitespace: \"{}\"",
                                                  file, printable(line, true)));
            continue;
        }
        if (utf8 && !is_valid_utf8(line)) {
            skip(fmt::format("non-UTF-8 input \"{}\" -- ignoring this line", printable(line)));
            continue;
        }
        auto entry = parse_line(line);
        if (!entry) {
            skip(entry.error().context);
            continue;
        }
        if (parse_line == parse_map_line && entry->key.ends_with(':'))
            source.warnings.push_back(
                fmt::format("{}, line {}: record is in \"key: value\" format; is this an alias file?", file,
                            lines.number()));
        if (fold)
            entry->key = fold_key(entry->key, utf8);
        entry->line = lines.number();
        source.entries.push_back(*std::move(entry));
    }
    return source;
}

} // namespace

TextSource TextSource::parse_map(std::string_view text, std::string_view file, bool fold, bool utf8)
{
    return parse(text, file, fold, utf8, parse_map_line);
}

TextSource TextSource::parse_aliases(std::string_view text, std::string_view file, bool fold, bool utf8)
{
    return parse(text, file, fold, utf8, parse_alias_line);
}

bool TextSource::looks_like_aliases(std::string_view text)
{
    LogicalLines lines(text);
    bool any = false;
    while (lines.next()) {
        const std::string_view line = trim(lines.text());
        const auto end = key_end(line);
        if (!end)
            return false;
        const std::string_view key = line.substr(0, *end);
        const std::string_view rest = trim(line.substr(*end));
        const bool has_colon =
            key.ends_with(':') || rest.starts_with(':') || (rest.empty() && key.find(':') != key.npos);
        if (!has_colon)
            return false;
        any = true;
    }
    return any;
}

} // namespace bulkhead
