#include "smtp/proxy_header.h"

#include "base/text.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <vector>

namespace bulkhead
{

namespace
{

using Parsed = Result<std::optional<ProxyHeader>>;

constexpr std::string_view first_word = "PROXY ";
constexpr std::string_view signature{"\r\n\r\n\0\r\nQUIT\n", 12};
constexpr std::size_t line_limit = 107;        // of version 1, CR LF included
constexpr std::size_t fixed_size = 16;         // of version 2: signature, command, family, length
constexpr std::size_t v4_size = 4 + 4 + 2 + 2; // of version 2: the addresses and ports
constexpr std::size_t v6_size = 16 + 16 + 2 + 2;

Error malformed(std::string text)
{
    return Error(Fault::malformed, std::move(text));
}

bool starts_like(std::string_view bytes, std::string_view word)
{
    return bytes.substr(0, word.size()) == word.substr(0, bytes.size());
}

// The address in one way of writing; an IPv4 address inside an IPv6 one comes out.
std::string printed(const in6_addr& address)
{
    char text[INET6_ADDRSTRLEN] = "";
    if (IN6_IS_ADDR_V4MAPPED(&address))
        ::inet_ntop(AF_INET, &address.s6_addr[12], text, sizeof text);
    else
        ::inet_ntop(AF_INET6, &address, text, sizeof text);
    return text;
}

std::string printed(const in_addr& address)
{
    char text[INET_ADDRSTRLEN] = "";
    ::inet_ntop(AF_INET, &address, text, sizeof text);
    return text;
}

std::optional<std::string> parse_address(std::string_view text, bool v6)
{
    const std::string copy(text);
    in6_addr six;
    in_addr four;
    if (v6)
        return ::inet_pton(AF_INET6, copy.c_str(), &six) == 1 ? std::optional(printed(six)) : std::nullopt;
    return ::inet_pton(AF_INET, copy.c_str(), &four) == 1 ? std::optional(printed(four)) : std::nullopt;
}

bool read_end(std::string_view address, std::string_view port, bool v6, ProxyHeader::End& end)
{
    const auto parsed = parse_address(address, v6);
    const auto number = parse_unsigned(port);
    if (!parsed || !number || *number > 65535 || port.size() > 5)
        return false;
    end = {*parsed, static_cast<std::uint16_t>(*number)};
    return true;
}

void settle_family(ProxyHeader& header)
{
    header.v6 = header.client.address.find(':') != std::string::npos;
}

// "PROXY TCP4 192.0.2.1 192.0.2.2 1234 25\r\n"
Parsed parse_line(std::string_view bytes)
{
    const auto end = bytes.substr(0, line_limit).find('\n');
    if (end == std::string_view::npos)
        return bytes.size() < line_limit ? Parsed(std::nullopt) : Parsed(malformed("line too long"));
    const std::string_view line = bytes.substr(0, end);
    if (!line.ends_with('\r'))
        return malformed("missing protocol header terminator");
    ProxyHeader header;
    header.size = end + 1;
    const auto words = split(line.substr(0, line.size() - 1), " ");
    if (words.size() >= 2 && words[1] == "UNKNOWN")
        return std::optional(header);
    const bool v6 = words.size() >= 2 && words[1] == "TCP6";
    if (!v6 && (words.size() < 2 || words[1] != "TCP4"))
        return malformed("bad or missing protocol type");
    if (words.size() != 6)
        return malformed("bad number of fields");
    if (!read_end(words[2], words[4], v6, header.client))
        return malformed("bad or missing client address or port");
    if (!read_end(words[3], words[5], v6, header.server))
        return malformed("bad or missing server address or port");
    header.told = true;
    settle_family(header);
    return std::optional(header);
}

std::uint16_t read_port(std::string_view bytes)
{
    return static_cast<std::uint16_t>(static_cast<unsigned char>(bytes[0]) << 8 |
                                      static_cast<unsigned char>(bytes[1]));
}

template <typename Address> std::string read_address(std::string_view bytes)
{
    Address address;
    std::memcpy(&address, bytes.data(), sizeof address);
    return printed(address);
}

Parsed parse_binary(std::string_view bytes)
{
    if (bytes.size() < fixed_size)
        return std::optional<ProxyHeader>();
    const unsigned version_and_command = static_cast<unsigned char>(bytes[12]);
    const unsigned family = static_cast<unsigned char>(bytes[13]);
    const std::size_t length = read_port(bytes.substr(14));
    if (version_and_command >> 4 != 2)
        return malformed("unexpected protocol version");
    if (fixed_size + length > proxy_header_limit)
        return malformed("protocol header too long");
    if (bytes.size() < fixed_size + length)
        return std::optional<ProxyHeader>();
    ProxyHeader header;
    header.size = fixed_size + length;
    const unsigned command = version_and_command & 15;
    if (command == 0)
        return std::optional(header);
    if (command != 1)
        return malformed("bad command in proxy header");
    const std::string_view body = bytes.substr(fixed_size, length);
    if (family == 0x11 && length >= v4_size) {
        header.client = {read_address<in_addr>(body), read_port(body.substr(8))};
        header.server = {read_address<in_addr>(body.substr(4)), read_port(body.substr(10))};
    } else if (family == 0x21 && length >= v6_size) {
        header.client = {read_address<in6_addr>(body), read_port(body.substr(32))};
        header.server = {read_address<in6_addr>(body.substr(16)), read_port(body.substr(34))};
    } else if (family >> 4 == 0) {
        return std::optional(header);
    } else {
        return malformed("unsupported network protocol");
    }
    header.told = true;
    settle_family(header);
    return std::optional(header);
}

} // namespace

static void append_address(std::string& out, const std::string& text, bool v6)
{
    char bytes[sizeof(in6_addr)] = {};
    ::inet_pton(v6 ? AF_INET6 : AF_INET, text.c_str(), bytes);
    out.append(bytes, v6 ? sizeof(in6_addr) : sizeof(in_addr));
}

static void append_number(std::string& out, std::size_t number)
{
    out += static_cast<char>(number >> 8 & 255);
    out += static_cast<char>(number & 255);
}

std::string proxy_header(int version, const ProxyHeader::End& client, const ProxyHeader::End& server)
{
    const bool v6 = client.address.find(':') != std::string::npos;
    if (version == 1)
        return fmt::format("{}TCP{} {} {} {} {}\r\n", first_word, v6 ? 6 : 4, client.address, server.address,
                           client.port, server.port);
    std::string header(signature);
    header += '\x21'; // version 2, for a client
    header += v6 ? '\x21' : '\x11';
    append_number(header, v6 ? v6_size : v4_size);
    append_address(header, client.address, v6);
    append_address(header, server.address, v6);
    append_number(header, client.port);
    append_number(header, server.port);
    return header;
}

bool may_be_proxy_header(std::string_view bytes)
{
    return starts_like(bytes, first_word) || starts_like(bytes, signature);
}

Result<std::optional<ProxyHeader>> parse_proxy_header(std::string_view bytes)
{
    if (!may_be_proxy_header(bytes))
        return malformed("short protocol header");
    if (bytes.size() < first_word.size())
        return std::optional<ProxyHeader>();
    if (bytes.starts_with(first_word))
        return parse_line(bytes);
    return bytes.size() < signature.size() ? Parsed(std::nullopt) : parse_binary(bytes);
}

} // namespace bulkhead
