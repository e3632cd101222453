#include "mail/address.h"

#include "base/text.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

namespace bulkhead
{

namespace
{

Error bad(std::string text)
{
    return Error{Fault::malformed, std::move(text)};
}

bool is_8bit(char c)
{
    return static_cast<unsigned char>(c) >= 0x80;
}

bool is_control(char c)
{
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

// RFC 5322 atext, and RFC 6531's.
bool is_atext(char c)
{
    constexpr std::string_view signs = "!#$%&'*+-/=?^_`{|}~";
    return is_alpha(c) || is_digit(c) || is_8bit(c) || signs.find(c) != std::string_view::npos;
}

bool is_dot_string(std::string_view local)
{
    bool after_dot = true;
    for (const char c : local) {
        if (c == '.' ? after_dot : !is_atext(c))
            return false;
        after_dot = c == '.';
    }
    return !after_dot;
}

bool is_ipv4(const std::string& text)
{
    in_addr address{};
    return ::inet_pton(AF_INET, text.c_str(), &address) == 1;
}

bool is_ipv6(const std::string& text)
{
    in6_addr address{};
    return ::inet_pton(AF_INET6, text.c_str(), &address) == 1;
}

// Reads a quoted-string at the front of text (which starts with '"') and
// removes it; appends its content.
Result<> take_quoted(std::string_view& text, std::string& content)
{
    text.remove_prefix(1);
    while (!text.empty() && text.front() != '"') {
        if (text.front() == '\\')
            text.remove_prefix(1);
        if (text.empty())
            break;
        content.push_back(text.front());
        text.remove_prefix(1);
    }
    if (text.empty())
        return bad("quoted string without end");
    text.remove_prefix(1);
    return {};
}

// The parts of one path, taken from the front of the text in turn.
class PathParser
{
public:
    PathParser(std::string_view text, const PathOptions& options) : text_(text), options_(options) {}

    Result<LeadingPath> parse();

private:
    void skip_blanks()
    {
        while (at(' ') || at('\t'))
            text_.remove_prefix(1);
    }
    bool at(char c) const { return !text_.empty() && text_.front() == c; }
    bool at_end() const { return text_.empty() || (brackets_ ? at('>') : is_blank(text_.front())); }

    Result<std::string> address();
    Result<std::string> local_part();
    Result<std::string> domain();
    Result<> skip_route();

    std::string_view text_;
    const PathOptions& options_;
    bool brackets_ = false;
};

Result<LeadingPath> PathParser::parse()
{
    if (!options_.strict)
        skip_blanks();
    brackets_ = at('<');
    if (!brackets_ && options_.strict)
        return bad("address is not in angle brackets");
    if (brackets_)
        text_.remove_prefix(1);
    if (brackets_ && !options_.strict)
        skip_blanks();

    std::string found;
    if (brackets_ && at('>')) {
        text_.remove_prefix(1);
    } else {
        TRY(found, address());
        if (brackets_ && !options_.strict)
            skip_blanks();
        if (brackets_ && !at('>'))
            return bad("address without closing bracket");
        if (brackets_)
            text_.remove_prefix(1);
    }
    if (!text_.empty() && !is_blank(text_.front()))
        return bad("text behind the address");
    skip_blanks();
    return LeadingPath(Path(std::move(found)), text_);
}

Result<std::string> PathParser::address()
{
    if (brackets_ && at('@'))
        TRY_VOID(skip_route());
    TRY(std::string local, local_part());
    if (local.empty())
        return bad("address has no local part");
    if (local.size() > local_part_limit)
        return bad("local part is too long");
    if (!options_.smtputf8 && has_8bit(local))
        return bad("non-ASCII address");
    if (!is_valid_utf8(local))
        return bad("address is not valid UTF-8");
    if (!at('@')) {
        // In internal form nobody could tell "a@b" from the address a@b.
        if (local.find('@') != std::string::npos)
            return bad("quoted '@' without domain");
        return local;
    }
    text_.remove_prefix(1);
    TRY(const std::string host, domain());
    return local + '@' + host;
}

// Words between dots; empty words are no dot-string but common ("a..b", "a.").
Result<std::string> PathParser::local_part()
{
    std::string local;
    bool after_quoted = false;
    while (!text_.empty()) {
        const char c = text_.front();
        if (c == '"') {
            if (after_quoted || (!local.empty() && local.back() != '.'))
                return bad("misplaced quote");
            TRY_VOID(take_quoted(text_, local));
            if (std::ranges::any_of(local, is_control))
                return bad("control character in address");
            after_quoted = true;
            continue;
        }
        if (c != '.' && !is_atext(c))
            break;
        if (c != '.' && after_quoted)
            return bad("text behind a quoted string");
        after_quoted = false;
        local.push_back(c);
        text_.remove_prefix(1);
    }
    if (!at('@') && !at_end() && !(brackets_ && is_blank(text_.front())))
        return bad(is_control(text_.front()) ? "control character in address"
                                             : "misplaced special character");
    return local;
}

Result<std::string> PathParser::domain()
{
    if (at('[')) {
        const auto end = text_.find(']');
        if (end == std::string_view::npos)
            return bad("address literal without end");
        const auto literal = text_.substr(0, end + 1);
        if (!literal_address(literal))
            return bad("bad address literal");
        text_.remove_prefix(end + 1);
        return std::string(literal);
    }
    const auto end = std::min(text_.find_first_of("> \t,:"), text_.size());
    auto name = text_.substr(0, end);
    text_.remove_prefix(end);
    if (name.size() > 1 && name.back() == '.')
        name.remove_suffix(1);
    if (!options_.smtputf8 && has_8bit(name))
        return bad("non-ASCII address");
    if (!is_valid_domain(name, options_.smtputf8))
        return bad("bad domain name");
    return std::string(name);
}

// "@one,@two:" (RFC 5321, appendix C: accepted and ignored).
Result<> PathParser::skip_route()
{
    for (;;) {
        if (!at('@'))
            return bad("bad source route");
        text_.remove_prefix(1);
        TRY_VOID(domain());
        if (text_.empty() || (!at(',') && !at(':')))
            return bad("bad source route");
        const bool last = at(':');
        text_.remove_prefix(1);
        if (last)
            return {};
    }
}

bool is_label(std::string_view label, bool utf8)
{
    const auto good = [&](char c) {
        return is_alpha(c) || is_digit(c) || c == '-' || c == '_' || (utf8 && is_8bit(c));
    };
    return !label.empty() && label.size() <= label_limit && label.front() != '-' && label.back() != '-' &&
           std::ranges::all_of(label, good);
}

} // namespace

AddressParts split_address(std::string_view internal)
{
    const auto at = internal.rfind('@');
    if (at == std::string_view::npos)
        return {internal, {}, false};
    return {internal.substr(0, at), internal.substr(at + 1), true};
}

std::string with_extension(std::string_view address, std::string_view extension)
{
    const AddressParts parts = split_address(address);
    std::string out(parts.local);
    out += extension;
    if (parts.has_domain)
        out.append("@").append(parts.domain);
    return out;
}

LocalParts split_extension(std::string_view local, std::string_view delimiters)
{
    constexpr std::array<std::string_view, 3> whole = {"postmaster", "mailer-daemon", "double-bounce"};
    const LocalParts unsplit{local, {}, '\0'};
    if (delimiters.empty() ||
        std::ranges::any_of(whole, [&](auto name) { return equals_ignoring_case(name, local); }))
        return unsplit;
    const bool list_name =
        starts_with_ignoring_case(local, "owner-") || ends_with_ignoring_case(local, "-request");
    if (list_name && delimiters.find('-') != std::string_view::npos)
        return unsplit;
    const auto cut = local.find_first_of(delimiters, 1);
    if (cut == std::string_view::npos)
        return unsplit;
    return {local.substr(0, cut), local.substr(cut + 1), local[cut]};
}

std::string quote_local_part(std::string_view local)
{
    if (is_dot_string(local))
        return std::string(local);
    std::string out = "\"";
    for (const char c : local) {
        if (c == '"' || c == '\\')
            out.push_back('\\');
        out.push_back(c);
    }
    out.push_back('"');
    return out;
}

std::string external_form(std::string_view internal)
{
    if (internal.empty())
        return {};
    const auto parts = split_address(internal);
    std::string out = quote_local_part(parts.local);
    if (parts.has_domain)
        out.append("@").append(parts.domain);
    return out;
}

Result<std::string> unquote(std::string_view external)
{
    std::string internal;
    while (!external.empty() && external.front() != '@') {
        if (external.front() == '"') {
            TRY_VOID(take_quoted(external, internal));
            if (!external.empty() && external.front() != '.' && external.front() != '@')
                return bad("text behind a quoted string");
            continue;
        }
        if (external.front() == '\\')
            external.remove_prefix(1);
        if (external.empty())
            return bad("backslash at the end");
        internal.push_back(external.front());
        external.remove_prefix(1);
    }
    return internal.append(external);
}

bool is_domain_literal(std::string_view domain)
{
    return domain.size() >= 2 && domain.front() == '[' && domain.back() == ']';
}

std::optional<std::string> literal_address(std::string_view domain)
{
    if (!is_domain_literal(domain))
        return std::nullopt;
    const auto inside = domain.substr(1, domain.size() - 2);
    // inet_pton stops at NUL.
    if (inside.size() > 64 || std::ranges::any_of(inside, is_control))
        return std::nullopt;
    constexpr std::string_view tag = "IPv6:";
    const bool tagged = starts_with_ignoring_case(inside, tag);
    std::string number(tagged ? inside.substr(tag.size()) : inside);
    if (is_ipv6(number) || (!tagged && is_ipv4(number)))
        return number;
    return std::nullopt;
}

bool is_valid_domain(std::string_view domain, bool utf8)
{
    if (domain.empty() || domain.size() > domain_limit || (utf8 && !is_valid_utf8(domain)))
        return false;
    if (domain.find_first_not_of("0123456789.") == std::string_view::npos)
        return false; // an address that lacks its brackets
    for (;;) {
        const auto dot = domain.find('.');
        if (!is_label(domain.substr(0, dot), utf8))
            return false;
        if (dot == std::string_view::npos)
            return true;
        domain.remove_prefix(dot + 1);
    }
}

Result<LeadingPath> parse_leading_path(std::string_view text, const PathOptions& options)
{
    return PathParser(text, options).parse();
}

Result<Path> parse_path(std::string_view text, const PathOptions& options)
{
    TRY(LeadingPath leading, parse_leading_path(text, options));
    if (!leading.rest.empty())
        return bad("text behind the address");
    return std::move(leading.path);
}

} // namespace bulkhead
