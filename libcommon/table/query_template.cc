#include "table/query_template.h"

#include "base/text.h"

#include <fmt/format.h>

#include <algorithm>

namespace bulkhead
{

AddressParts::AddressParts(std::string_view text) : whole(text), local(text)
{
    const auto at = text.rfind('@');
    if (at == text.npos)
        return;
    local = text.substr(0, at);
    domain = text.substr(at + 1);
}

std::optional<std::string_view> AddressParts::label(int number) const
{
    if (!domain)
        return std::nullopt;
    std::string_view rest = *domain;
    for (int i = 1;; ++i) {
        const auto dot = rest.rfind('.');
        const std::string_view label = dot == rest.npos ? rest : rest.substr(dot + 1);
        if (i == number)
            return label.empty() ? std::nullopt : std::optional(label);
        if (dot == rest.npos)
            return std::nullopt;
        rest = rest.substr(0, dot);
    }
}

namespace
{

// The part of an address that a code in lower case, or a digit, names.
std::optional<std::string_view> part(char code, const AddressParts& address)
{
    const auto unless_empty = [](std::string_view text) {
        return text.empty() ? std::nullopt : std::optional(text);
    };
    switch (code) {
    case 's':
        return unless_empty(address.whole);
    case 'u':
        return unless_empty(address.local);
    case 'd':
        return address.domain ? unless_empty(*address.domain) : std::nullopt;
    default:
        return address.label(code - '0');
    }
}

// %s %u %d are a result's parts in result_format, the others always the key's.
bool names_a_result(char code)
{
    return code == 's' || code == 'u' || code == 'd';
}

} // namespace

Result<QueryTemplate> QueryTemplate::parse(std::string_view text)
{
    if (text.size() > size_limit)
        return Error{Fault::limit, fmt::format("longer than {} bytes", size_limit)};
    QueryTemplate result;
    Piece piece;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            piece.text += text[i];
            continue;
        }
        const char code = ++i < text.size() ? text[i] : '\0';
        if (code == '%') {
            piece.text += '%';
        } else if (code != '\0' && std::string_view("sudSUD123456789").find(code) != std::string_view::npos) {
            piece.code = code;
            result.pieces_.push_back(std::exchange(piece, {}));
        } else {
            return Error{Fault::config,
                         fmt::format("bad use of %: want one of %s %u %d %S %U %D %1 to %9 %%, have \"%{}\"",
                                     printable(text.substr(i, 1)))};
        }
    }
    if (!piece.text.empty())
        result.pieces_.push_back(std::move(piece));
    return result;
}

bool QueryTemplate::fits(const AddressParts& key) const
{
    return std::ranges::all_of(
        pieces_, [&](const Piece& piece) { return piece.code == 0 || part(ascii_lower(piece.code), key); });
}

std::optional<std::string> QueryTemplate::fill(const AddressParts& key, const Quote& quote) const
{
    std::string filled;
    for (const Piece& piece : pieces_) {
        filled += piece.text;
        if (piece.code == 0)
            continue;
        const auto text = part(ascii_lower(piece.code), key);
        if (!text || !quote(*text, filled))
            return std::nullopt;
    }
    return filled;
}

bool QueryTemplate::fits_results_of(const AddressParts& key) const
{
    return std::ranges::all_of(pieces_, [&](const Piece& piece) {
        return piece.code == 0 || names_a_result(piece.code) || part(ascii_lower(piece.code), key);
    });
}

std::optional<std::string> QueryTemplate::format(std::string_view value, const AddressParts& key) const
{
    if (value.empty())
        return std::nullopt;
    const AddressParts result(value);
    std::string formatted;
    for (const Piece& piece : pieces_) {
        formatted += piece.text;
        if (piece.code == 0)
            continue;
        const auto text = part(ascii_lower(piece.code), names_a_result(piece.code) ? result : key);
        if (!text)
            return std::nullopt;
        formatted += *text;
    }
    return formatted;
}

} // namespace bulkhead
