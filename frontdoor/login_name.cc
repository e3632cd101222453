#include "login_name.h"

#include "base/text.h"

#include <algorithm>
#include <array>

namespace bulkhead
{

namespace
{

constexpr std::size_t longest_name = 255;

// RFC 4616: authorization identity, user, password, NULs between them.
std::string_view plain_name(std::string_view message)
{
    const auto first = message.find('\0');
    const auto second = first == message.npos ? message.npos : message.find('\0', first + 1);
    return second == message.npos ? std::string_view() : message.substr(first + 1, second - first - 1);
}

// RFC 5802, 7: "n,,n=user,r=...", with =2C and =3D in the name.
std::string scram_name(std::string_view message)
{
    const auto flag = message.find(',');
    const auto identity = flag == message.npos ? message.npos : message.find(',', flag + 1);
    if (identity == message.npos)
        return {};
    std::string_view rest = message.substr(identity + 1);
    if (!rest.starts_with("n="))
        return {};
    rest.remove_prefix(2);
    std::string name;
    for (std::size_t i = 0; i < rest.size() && rest[i] != ','; ++i) {
        if (rest[i] != '=') {
            name += rest[i];
            continue;
        }
        const std::string_view code = rest.substr(i, 3);
        if (code != "=2C" && code != "=3D")
            return {};
        name += code == "=2C" ? ',' : '=';
        i += 2;
    }
    return name;
}

// "user=name^Aauth=Bearer token^A^A"
std::string_view token_name(std::string_view message)
{
    constexpr std::string_view mark = "user=";
    if (!message.starts_with(mark))
        return {};
    message.remove_prefix(mark.size());
    const auto end = message.find('\x01');
    return end == message.npos ? std::string_view() : message.substr(0, end);
}

bool is_name(std::string_view name)
{
    return !name.empty() && name.size() <= longest_name && is_valid_utf8(name) &&
           std::ranges::none_of(name,
                                [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; });
}

} // namespace

bool tells_name_first(std::string_view mechanism)
{
    constexpr std::array<std::string_view, 5> known = {"PLAIN", "LOGIN", "SCRAM-SHA-1", "SCRAM-SHA-256",
                                                       "XOAUTH2"};
    return std::ranges::find(known, mechanism) != known.end();
}

std::string_view first_challenge(std::string_view mechanism)
{
    return mechanism == "LOGIN" ? "Username:" : "";
}

std::optional<std::string> login_name(std::string_view mechanism, std::string_view message)
{
    std::string name;
    if (mechanism == "PLAIN")
        name = plain_name(message);
    else if (mechanism == "LOGIN")
        name = message;
    else if (mechanism.starts_with("SCRAM-"))
        name = scram_name(message);
    else if (mechanism == "XOAUTH2")
        name = token_name(message);
    if (!is_name(name))
        return std::nullopt;
    return name;
}

} // namespace bulkhead
