#include "milter/protocol.h"

#include "base/text.h"
#include "mail/address.h"
#include "mail/dsn.h"
#include "mail/header.h"

#include <fmt/format.h>

#include <algorithm>

namespace bulkhead::milter
{

namespace
{

constexpr std::size_t max_reply_lines = 100;
constexpr std::size_t max_reply_line = 2000;
constexpr std::size_t max_macro_list = 10'000;

Error bad(std::string text)
{
    return {Fault::malformed, std::move(text)};
}

std::uint32_t number_at(std::string_view data)
{
    std::uint32_t number = 0;
    for (std::size_t i = 0; i < 4; ++i)
        number = number << 8 | static_cast<unsigned char>(data[i]);
    return number;
}

void append_number(std::string& out, std::uint32_t number)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        out += static_cast<char>(number >> shift & 0xff);
}

// The text up to its NUL, which must be there.
Result<std::string_view> take_string(std::string_view& data)
{
    const std::size_t end = data.find('\0');
    if (end == data.npos)
        return bad("a text without end");
    const std::string_view text = data.substr(0, end);
    data.remove_prefix(end + 1);
    return text;
}

// A header's value: CR goes, what would end the header is no value.
Result<std::string> header_value(std::string_view text)
{
    std::string value;
    std::ranges::copy_if(text, std::back_inserter(value), [](char c) { return c != '\r'; });
    for (std::size_t at = value.find('\n'); at != value.npos; at = value.find('\n', at + 1))
        if (at + 1 == value.size() || !is_blank(value[at + 1]))
            value.insert(at + 1, 1, '\t');
    return value;
}

Result<std::string> address(std::string_view text)
{
    text = trim(text);
    if (text.starts_with('<') && text.ends_with('>'))
        text = text.substr(1, text.size() - 2);
    if (std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < ' '; }))
        return bad("an address with control characters");
    return unquote(text);
}

struct EditRow {
    char command;
    Edit::Kind kind;
    std::uint32_t right; // one of these
};
constexpr std::array<EditRow, 9> edit_rows = {{
    {'h', Edit::Kind::add_header, action::add_headers},
    {'i', Edit::Kind::insert_header, action::add_headers | action::change_headers},
    {'m', Edit::Kind::change_header, action::change_headers},
    {'b', Edit::Kind::replace_body, action::change_body},
    {'+', Edit::Kind::add_recipient, action::add_recipients},
    {'2', Edit::Kind::add_recipient, action::add_recipients_with_parameters},
    {'-', Edit::Kind::delete_recipient, action::delete_recipients},
    {'e', Edit::Kind::change_sender, action::change_sender},
    {'q', Edit::Kind::quarantine, action::quarantine},
}};

} // namespace

std::string_view command_name(char name)
{
    struct Row {
        char letter;
        std::string_view text;
    };
    static constexpr Row rows[] = {
        {'O', "SMFIC_OPTNEG"}, {'D', "SMFIC_MACRO"},   {'C', "SMFIC_CONNECT"}, {'H', "SMFIC_HELO"},
        {'M', "SMFIC_MAIL"},   {'R', "SMFIC_RCPT"},    {'T', "SMFIC_DATA"},    {'L', "SMFIC_HEADER"},
        {'N', "SMFIC_EOH"},    {'B', "SMFIC_BODY"},    {'E', "SMFIC_BODYEOB"}, {'A', "SMFIC_ABORT"},
        {'Q', "SMFIC_QUIT"},   {'U', "SMFIC_UNKNOWN"},
    };
    for (const Row& row : rows)
        if (row.letter == name)
            return row.text;
    return "SMFIC_?";
}

Result<Offer> offer_of(unsigned version)
{
    switch (version) {
    case 2:
        return Offer{2, 0x3f, 0x7f};
    case 3:
        return Offer{3, 0x3f, 0x1ff};
    case 4:
        return Offer{4, 0x3f, 0x3ff};
    case 6:
        return Offer{6, 0x1ff, 0x1fffff};
    default:
        return Error{Fault::config, fmt::format("unsupported protocol version: {}", version)};
    }
}

void append_packet(std::string& out, char name, std::string_view data)
{
    append_number(out, static_cast<std::uint32_t>(data.size() + 1));
    out += name;
    out += data;
}

std::string packet(char name, std::string_view data)
{
    std::string out;
    append_packet(out, name, data);
    return out;
}

// A NUL ends the text: nothing may follow it unseen.
void append_string(std::string& out, std::string_view text)
{
    out += text.substr(0, text.find('\0'));
    out += '\0';
}

std::string encode(const Offer& offer)
{
    std::string data;
    append_number(data, offer.version);
    append_number(data, offer.actions);
    append_number(data, offer.options);
    return data;
}

Result<Agreement> parse_agreement(std::string_view data, const Offer& ours)
{
    if (data.size() < 12)
        return bad("a short negotiation reply");
    Agreement agreed;
    agreed.offer.version = number_at(data);
    agreed.offer.actions = number_at(data.substr(4));
    agreed.offer.options = number_at(data.substr(8));
    data.remove_prefix(12);
    if (agreed.offer.version < 2 || agreed.offer.version > ours.version)
        return bad(fmt::format("protocol version {}, want {} at most", agreed.offer.version, ours.version));
    if (agreed.offer.actions & ~ours.actions)
        return bad(fmt::format("actions {:#x} that were not offered", agreed.offer.actions & ~ours.actions));
    if (agreed.offer.options & ~ours.options)
        return bad(fmt::format("options {:#x} that were not offered", agreed.offer.options & ~ours.options));
    while (agreed.offer.version >= 6 && !data.empty()) {
        if (data.size() < 5)
            return bad("a short list of macros");
        const std::uint32_t stage = number_at(data);
        data.remove_prefix(4);
        TRY(const std::string_view list, take_string(data));
        if (stage >= stages || list.size() > max_macro_list)
            return bad("a list of macros for an unknown event, or too long");
        agreed.macros[stage] = std::string(list);
    }
    return agreed;
}

Result<std::optional<Edit>> parse_edit(char name, std::string_view data, std::uint32_t actions)
{
    const auto row = std::ranges::find(edit_rows, name, &EditRow::command);
    if (row == edit_rows.end())
        return std::optional<Edit>();
    if (!(row->right & actions))
        return Error{Fault::refused, fmt::format("a change '{}' that was not agreed upon", name)};
    Edit edit{row->kind, 0, {}, {}};
    if (name == 'i' || name == 'm') {
        if (data.size() < 4)
            return bad("a header without index");
        edit.index = number_at(data);
        data.remove_prefix(4);
    }
    switch (edit.kind) {
    case Edit::Kind::add_header:
    case Edit::Kind::insert_header:
    case Edit::Kind::change_header: {
        TRY(const std::string_view field, take_string(data));
        TRY(const std::string_view value, take_string(data));
        if (header_field_name(std::string(field) + ':') != field || field.empty())
            return bad("a bad header name");
        edit.name = field;
        TRY(edit.value, header_value(value));
        break;
    }
    case Edit::Kind::replace_body:
        edit.value = data;
        break;
    case Edit::Kind::add_recipient:
    case Edit::Kind::delete_recipient:
    case Edit::Kind::change_sender: {
        TRY(const std::string_view text, take_string(data)); // parameters behind it are not ours to judge
        TRY(edit.value, address(text));
        if (edit.value.empty() && edit.kind != Edit::Kind::change_sender)
            return bad("an empty recipient");
        break;
    }
    case Edit::Kind::quarantine: {
        TRY(const std::string_view text, take_string(data));
        edit.value = printable(text, true);
        break;
    }
    }
    return std::optional(std::move(edit));
}

// The lines come with CR LF between them, the last one perhaps with one too.
Result<Reply> parse_reply_code(std::string_view data)
{
    const std::size_t end = data.find('\0');
    if (end == data.npos)
        return bad("a reply without end");
    data = data.substr(0, end);
    while (data.ends_with('\n') || data.ends_with('\r'))
        data.remove_suffix(1);
    Reply reply;
    for (std::size_t begin = 0; begin <= data.size();) {
        const std::size_t line_end = std::min(data.find('\n', begin), data.size());
        std::string_view line = data.substr(begin, line_end - begin);
        begin = line_end + 1;
        if (line.ends_with('\r'))
            line.remove_suffix(1);
        const bool last = begin > data.size();
        const auto code = parse_unsigned(line.substr(0, 3));
        if (line.size() < 3 || !code || *code < 400 || *code > 599 ||
            (line.size() > 3 && line[3] != (last ? ' ' : '-') && !(last && line[3] == '-')))
            return bad("a bad reply code");
        if ((reply.code != 0 && reply.code != static_cast<int>(*code)) ||
            reply.lines.size() >= max_reply_lines || line.size() > max_reply_line)
            return bad("a reply with lines that do not agree, or too many");
        reply.code = static_cast<int>(*code);
        std::string_view text = line.substr(std::min<std::size_t>(line.size(), 4));
        if (std::ranges::any_of(text,
                                [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; }))
            return bad("a reply with control characters");
        const auto [status, rest] = split_status(text);
        if (status) {
            if (status->status_class != reply.code / 100)
                return bad("a reply whose status has another class");
            if (reply.dsn.empty())
                reply.dsn = status->text();
            text = rest;
        }
        std::string shown;
        for (std::size_t i = 0; i < text.size(); ++i) { // libmilter wants '%' doubled
            shown += text[i];
            i += text.substr(i, 2) == "%%";
        }
        reply.lines.push_back(std::move(shown));
    }
    return reply;
}

} // namespace bulkhead::milter
