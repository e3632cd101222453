#include "destination_list.h"

#include "base/text.h"
#include "mail/addrlist.h"

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr std::string_view include_prefix = ":include:";

// Where the element at the front of text ends: at a comma outside of quotes, comments and <>.
Result<std::size_t> end_of_element(std::string_view text)
{
    bool quoted = false;
    int comment = 0;
    bool bracket = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '\\')
            ++i;
        else if (comment == 0 && c == '"')
            quoted = !quoted;
        else if (quoted)
            continue;
        else if (c == '(')
            ++comment;
        else if (c == ')' && comment > 0)
            --comment;
        else if (comment == 0 && (c == '<' || c == '>'))
            bracket = c == '<';
        else if (c == ',' && comment == 0 && !bracket)
            return i;
    }
    if (quoted)
        return Error{Fault::malformed, "a quote is not closed"};
    return text.size();
}

// "|cmd arg", |"cmd arg", |cmd arg: the quotes that belong to the list go, those that belong
// to the command stay.
std::string without_quotes(std::string_view text)
{
    const bool whole = text.size() >= 2 && text.front() == '"' && text.back() == '"';
    const bool behind_bar = text.size() >= 3 && text.front() == '|' && text[1] == '"' && text.back() == '"' &&
                            text.find('"', 2) == text.size() - 1;
    if (!whole && !behind_bar)
        return std::string(text);
    std::string out = behind_bar ? "|" : "";
    text = text.substr(behind_bar ? 2 : 1);
    text.remove_suffix(1);
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 1 < text.size())
            ++i;
        out += text[i];
    }
    return out;
}

Result<> add_addresses(std::string_view text, std::vector<Destination>& out)
{
    TRY(const AddressList list, parse_address_list(text));
    if (list.malformed > 0)
        return Error{Fault::malformed, fmt::format("no address: {}", printable(text.substr(0, 100), true))};
    for (const ListedAddress& each : list.addresses)
        if (!each.address.empty())
            out.push_back({Destination::Kind::address, each.address});
    return {};
}

Result<> add_element(std::string_view element, std::vector<Destination>& out)
{
    element = trim(element);
    if (element.empty())
        return {};
    const std::string plain = without_quotes(element);
    if (plain.starts_with('|'))
        out.push_back({Destination::Kind::command, std::string(trim(plain.substr(1)))});
    else if (plain.starts_with('/') && element.find('@') == element.npos)
        out.push_back({Destination::Kind::file, plain});
    else if (starts_with_ignoring_case(plain, include_prefix))
        out.push_back({Destination::Kind::include, std::string(trim(plain.substr(include_prefix.size())))});
    else if (plain.starts_with('\\') && plain.size() > 1)
        out.push_back({Destination::Kind::literal_user, plain.substr(1)});
    else
        return add_addresses(element, out);
    return {};
}

Result<> add_line(std::string_view line, std::vector<Destination>& out)
{
    while (!line.empty()) {
        TRY(const std::size_t end, end_of_element(line));
        TRY_VOID(add_element(line.substr(0, end), out));
        if (out.size() > max_destinations)
            return Error{Fault::limit, fmt::format("more than {} destinations", max_destinations)};
        line.remove_prefix(std::min(end + 1, line.size()));
    }
    return {};
}

} // namespace

Result<std::vector<Destination>> parse_destinations(std::string_view line)
{
    std::vector<Destination> out;
    TRY_VOID(add_line(line, out));
    return out;
}

Result<std::vector<Destination>> parse_destination_file(std::string_view text)
{
    std::vector<Destination> out;
    std::string logical;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (line.ends_with('\r'))
            line.remove_suffix(1);
        if (line.starts_with('#') || trim(line).empty())
            continue;
        if (!is_blank(line.front())) {
            TRY_VOID(add_line(logical, out));
            logical.clear();
        }
        logical += line;
    }
    TRY_VOID(add_line(logical, out));
    return out;
}

} // namespace bulkhead
