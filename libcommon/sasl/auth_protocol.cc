#include "sasl/auth_protocol.h"

#include "base/text.h"
#include "sasl/base64.h"

#include <array>
#include <limits>
#include <vector>

#include <fmt/format.h>

namespace bulkhead::sasl
{

namespace
{

constexpr std::size_t field_limit = 64; // fields of one line

// Byte 1 escapes what would end a field or a line.
std::string escaped(std::string_view text)
{
    std::string out;
    for (const char c : text) {
        switch (c) {
        case '\0':
            out += "\0010";
            break;
        case '\001':
            out += "\0011";
            break;
        case '\t':
            out += "\001t";
            break;
        case '\r':
            out += "\001r";
            break;
        case '\n':
            out += "\001n";
            break;
        default:
            out += c;
        }
    }
    return out;
}

std::string unescaped(std::string_view text)
{
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\001' || i + 1 == text.size()) {
            out += text[i];
            continue;
        }
        const char c = text[++i];
        out += c == '0' ? '\0' : c == '1' ? '\001' : c == 't' ? '\t' : c == 'r' ? '\r' : c == 'n' ? '\n' : c;
    }
    return out;
}

Error bad(std::string_view what)
{
    return {Fault::malformed, fmt::format("authentication protocol: {}", what)};
}

// Unlike split(), keeps empty fields: the position says what a field is.
Result<std::vector<std::string_view>> fields_of(std::string_view line)
{
    if (line.size() > auth_line_limit)
        return Error{Fault::limit, "authentication protocol: line too long"};
    std::vector<std::string_view> fields;
    for (;;) {
        const auto tab = line.find('\t');
        fields.push_back(line.substr(0, tab));
        if (fields.size() > field_limit)
            return Error{Fault::limit, "authentication protocol: too many fields"};
        if (tab == std::string_view::npos)
            return fields;
        line.remove_prefix(tab + 1);
    }
}

template <typename Number>
Result<Number> number_in(const std::vector<std::string_view>& fields, std::size_t at)
{
    const auto number = at < fields.size() ? parse_unsigned(fields[at]) : std::nullopt;
    if (!number || *number > std::numeric_limits<Number>::max())
        return bad(fmt::format("bad number in {}", printable(fields[0])));
    return static_cast<Number>(*number);
}

// "name=value" -> both; a bare name has no value.
std::pair<std::string_view, std::string_view> parameter(std::string_view field)
{
    const auto equals = field.find('=');
    return {field.substr(0, equals), equals == field.npos ? std::string_view() : field.substr(equals + 1)};
}

struct PropertyWord {
    std::string_view word;
    unsigned property;
};
constexpr std::array<PropertyWord, 6> property_words = {{
    {"plaintext", property::plaintext},
    {"anonymous", property::anonymous},
    {"active", property::active},
    {"dictionary", property::dictionary},
    {"forward-secrecy", property::forward_secrecy},
    {"mutual-auth", property::mutual_auth},
}};

Result<AuthAnswer> parse_mechanism(const std::vector<std::string_view>& fields)
{
    AuthAnswer answer;
    answer.kind = AuthAnswer::Kind::mechanism;
    if (fields.size() < 2 || !is_mechanism_name(fields[1]))
        return bad("bad mechanism name");
    answer.mechanism.name = upper(fields[1]);
    for (std::size_t i = 2; i < fields.size(); ++i) {
        answer.hidden |= fields[i] == "private";
        for (const PropertyWord& known : property_words)
            if (fields[i] == known.word)
                answer.mechanism.properties |= known.property;
    }
    return answer;
}

Result<std::string> decoded(std::string_view text)
{
    auto bytes = decode_base64(text);
    if (!bytes)
        return bad("bad base64");
    return *std::move(bytes);
}

void read_outcome(AuthAnswer& answer, const std::vector<std::string_view>& fields)
{
    for (std::size_t i = 2; i < fields.size(); ++i) {
        const auto [name, value] = parameter(fields[i]);
        if (name == "user")
            answer.user = unescaped(value);
        else if (name == "reason")
            answer.reason = unescaped(value);
        else if (name == "temp" || (name == "code" && value == "temp_fail"))
            answer.temporary = true;
    }
}

Result<> read_begin(AuthRequest& request, const std::vector<std::string_view>& fields)
{
    if (fields.size() < 3 || !is_mechanism_name(fields[2]))
        return bad("bad mechanism name");
    request.mechanism = upper(fields[2]);
    for (std::size_t i = 3; i < fields.size(); ++i) {
        const auto [name, value] = parameter(fields[i]);
        if (name == "service")
            request.service = unescaped(value);
        else if (name == "lip")
            request.local_address = unescaped(value);
        else if (name == "rip")
            request.remote_address = unescaped(value);
        else if (name == "secured")
            request.secured = true;
        else if (name == "valid-client-cert")
            request.valid_client_certificate = true;
        else if (name == "resp") {
            TRY(request.data, decoded(value));
        }
    }
    return {};
}

} // namespace

Result<AuthAnswer> parse_auth_answer(std::string_view line)
{
    using Kind = AuthAnswer::Kind;
    TRY(const std::vector<std::string_view> fields, fields_of(line));
    AuthAnswer answer;
    const std::string_view command = fields[0];
    if (command == "VERSION") {
        answer.kind = Kind::version;
        TRY(answer.number, number_in<std::uint32_t>(fields, 1));
    } else if (command == "MECH") {
        return parse_mechanism(fields);
    } else if (command == "DONE") {
        answer.kind = Kind::done;
    } else if (command == "OK" || command == "FAIL" || command == "CONT") {
        answer.kind = command == "OK" ? Kind::ok : command == "FAIL" ? Kind::fail : Kind::go_on;
        TRY(answer.id, number_in<std::uint32_t>(fields, 1));
        if (answer.kind == Kind::go_on) {
            TRY(answer.data, decoded(fields.size() > 2 ? fields[2] : std::string_view()));
        } else {
            read_outcome(answer, fields);
        }
    }
    return answer;
}

Result<AuthRequest> parse_auth_request(std::string_view line)
{
    using Kind = AuthRequest::Kind;
    TRY(const std::vector<std::string_view> fields, fields_of(line));
    AuthRequest request;
    const std::string_view command = fields[0];
    if (command == "VERSION" || command == "CPID") {
        request.kind = command == "CPID" ? Kind::process : Kind::version;
        TRY(request.number, number_in<std::uint32_t>(fields, 1));
    } else if (command == "AUTH" || command == "CONT" || command == "CANCEL") {
        request.kind = command == "AUTH" ? Kind::begin : command == "CONT" ? Kind::go_on : Kind::cancel;
        TRY(request.id, number_in<std::uint32_t>(fields, 1));
        if (request.kind == Kind::begin) {
            TRY_VOID(read_begin(request, fields));
        } else if (request.kind == Kind::go_on) {
            TRY(request.data, decoded(fields.size() > 2 ? fields[2] : std::string_view()));
        }
    }
    return request;
}

std::string auth_line(const AuthRequest& request)
{
    switch (request.kind) {
    case AuthRequest::Kind::version:
        return fmt::format("VERSION\t{}\t1\n", request.number);
    case AuthRequest::Kind::process:
        return fmt::format("CPID\t{}\n", request.number);
    case AuthRequest::Kind::go_on:
        return fmt::format("CONT\t{}\t{}\n", request.id, encode_base64(request.data.value_or("")));
    case AuthRequest::Kind::cancel:
        return fmt::format("CANCEL\t{}\n", request.id);
    case AuthRequest::Kind::begin:
        break;
    case AuthRequest::Kind::other:
        return {};
    }
    std::string line = fmt::format("AUTH\t{}\t{}\tservice={}\tnologin", request.id, request.mechanism,
                                   escaped(request.service));
    const auto add = [&](std::string_view name, std::string_view value) {
        if (!value.empty())
            line += fmt::format("\t{}={}", name, escaped(value));
    };
    add("lip", request.local_address);
    add("rip", request.remote_address);
    if (request.local_port != 0)
        line += fmt::format("\tlport={}", request.local_port);
    if (request.remote_port != 0)
        line += fmt::format("\trport={}", request.remote_port);
    if (request.secured)
        line += "\tsecured";
    if (request.valid_client_certificate)
        line += "\tvalid-client-cert";
    if (request.data) // the last one, by the protocol
        line += "\tresp=" + encode_base64(*request.data);
    return line + '\n';
}

std::string auth_line(const AuthAnswer& answer)
{
    switch (answer.kind) {
    case AuthAnswer::Kind::version:
        return fmt::format("VERSION\t{}\t1\n", answer.number);
    case AuthAnswer::Kind::mechanism: {
        std::string line = "MECH\t" + answer.mechanism.name;
        for (const PropertyWord& known : property_words)
            if ((answer.mechanism.properties & known.property) != 0)
                line.append("\t").append(known.word);
        return line + '\n';
    }
    case AuthAnswer::Kind::done:
        return "DONE\n";
    case AuthAnswer::Kind::go_on:
        return fmt::format("CONT\t{}\t{}\n", answer.id, encode_base64(answer.data));
    case AuthAnswer::Kind::ok:
        return fmt::format("OK\t{}\tuser={}\n", answer.id, escaped(answer.user));
    case AuthAnswer::Kind::fail:
        break;
    case AuthAnswer::Kind::other:
        return {};
    }
    std::string line = fmt::format("FAIL\t{}", answer.id);
    if (!answer.user.empty())
        line += "\tuser=" + escaped(answer.user);
    if (answer.temporary)
        line += "\ttemp";
    if (!answer.reason.empty())
        line += "\treason=" + escaped(answer.reason);
    return line + '\n';
}

} // namespace bulkhead::sasl
