#include "attributes.h"

#include "command_words.h"

#include "base/text.h"
#include "config/values.h"

#include <limits>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

Error bad(std::string text)
{
    return {Fault::config, std::move(text)};
}

Result<PipeFlags> parse_flags(std::string_view letters)
{
    PipeFlags flags;
    for (const char letter : letters) {
        switch (letter) {
        case 'B':
            flags.blank_line_at_end = true;
            break;
        case 'D':
            flags.delivered_to = true;
            break;
        case 'F':
            flags.from_line = true;
            break;
        case 'O':
            flags.original_to = true;
            break;
        case 'R':
            flags.return_path = true;
            break;
        case 'X':
            flags.final_delivery = true;
            break;
        case 'h':
            flags.fold_domain = true;
            break;
        case 'u':
            flags.fold_user = true;
            break;
        case 'q':
            flags.quote = true;
            break;
        case '.':
            flags.quote_dots = true;
            break;
        case '>':
            flags.quote_from = true;
            break;
        default:
            return bad(fmt::format("unknown flag: {}", printable({&letter, 1})));
        }
    }
    return flags;
}

// \r \n \t \b \f \v \a \\ and octal numbers.
Result<std::string> unescape(std::string_view text)
{
    static constexpr std::string_view letters = "rntbfva\\";
    static constexpr std::string_view values = "\r\n\t\b\f\v\a\\";
    std::string out;
    while (!text.empty()) {
        if (text.front() != '\\') {
            out += text.front();
            text.remove_prefix(1);
            continue;
        }
        text.remove_prefix(1);
        int octal = 0;
        std::size_t digits = 0;
        while (digits < 3 && digits < text.size() && text[digits] >= '0' && text[digits] <= '7')
            octal = octal * 8 + (text[digits++] - '0');
        const auto letter = text.empty() ? letters.npos : letters.find(text.front());
        if (digits > 0 && octal <= std::numeric_limits<unsigned char>::max()) {
            out += static_cast<char>(octal);
            text.remove_prefix(digits);
        } else if (letter != letters.npos) {
            out += values[letter];
            text.remove_prefix(1);
        } else {
            return bad("eol=: unknown escape");
        }
    }
    return out;
}

Result<> set(PipeAttributes& attributes, std::string_view name, std::string_view value)
{
    if (name == "user") {
        attributes.user = value;
    } else if (name == "flags") {
        TRY(attributes.flags, parse_flags(value));
    } else if (name == "null_sender") {
        attributes.null_sender = value;
    } else if (name == "directory") {
        attributes.directory = value;
    } else if (name == "chroot") {
        attributes.root = value;
    } else if (name == "eol") {
        TRY(attributes.eol, unescape(value));
    } else if (name == "size") {
        const auto size = parse_unsigned(value);
        if (!size || *size > std::numeric_limits<std::int64_t>::max())
            return bad(fmt::format("bad size= value: {}", printable(value)));
        attributes.size_limit = static_cast<std::int64_t>(*size);
    } else {
        return bad(fmt::format("unknown attribute name: {}", printable(name)));
    }
    return {};
}

} // namespace

Result<PipeAttributes> PipeAttributes::parse(std::span<const std::string> arguments)
{
    PipeAttributes attributes;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string_view word = arguments[i];
        const auto equals = word.find('=');
        if (equals == word.npos)
            return bad(fmt::format("name=value expected: {}", printable(word)));
        const std::string_view name = word.substr(0, equals);
        const std::string_view value = word.substr(equals + 1);
        if (name != "argv") {
            TRY_VOID(set(attributes, name, value));
            continue;
        }
        // All that follows is the command.
        if (!value.empty())
            attributes.words.emplace_back(without_braces(value));
        attributes.words.insert(attributes.words.end(),
                                arguments.begin() + static_cast<std::ptrdiff_t>(i) + 1, arguments.end());
        break;
    }
    if (attributes.user.empty())
        return bad("missing user= command-line attribute");
    if (attributes.words.empty())
        return bad("missing argv= command-line attribute");
    TRY_VOID(check_command_words(attributes.words));
    return attributes;
}

} // namespace bulkhead
