#include "table/tcp_table.h"

#include "base/text.h"
#include "table/lookup_client.h"
#include "table/types.h"

#include <fmt/format.h>

#include <optional>

namespace bulkhead
{

namespace
{

std::optional<unsigned> hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return static_cast<unsigned>(c - '0');
    const char low = static_cast<char>(c | 0x20);
    if (low >= 'a' && low <= 'f')
        return static_cast<unsigned>(low - 'a') + 10;
    return std::nullopt;
}

std::optional<std::string> unquote(std::string_view text)
{
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out += text[i];
            continue;
        }
        const auto high = i + 2 < text.size() ? hex_digit(text[i + 1]) : std::nullopt;
        const auto low = high ? hex_digit(text[i + 2]) : std::nullopt;
        if (!low)
            return std::nullopt;
        out += static_cast<char>(*high * 16 + *low);
        i += 2;
    }
    return out;
}

Result<std::size_t> end_of_reply(std::string_view bytes)
{
    const std::size_t newline = bytes.find('\n');
    if (newline == bytes.npos ? bytes.size() >= tcp_reply_limit : newline >= tcp_reply_limit)
        return Error{Fault::limit, fmt::format("the reply is longer than {} bytes", tcp_reply_limit)};
    return newline == bytes.npos ? 0 : newline + 1;
}

class TcpTable final : public Table
{
public:
    explicit TcpTable(std::shared_ptr<LookupClient> client) : client_(std::move(client)) {}

    Lookup find(std::string_view key) override
    {
        const auto reply = client_->exchange(fmt::format("get {}\n", tcp_quote(key)), end_of_reply);
        if (!reply)
            return Lookup::broken(fmt::format("{}: {}", spec(), reply.error().context));
        std::string_view line = *reply;
        line.remove_suffix(line.ends_with("\r\n") ? 2 : 1);
        Lookup answer = parse_tcp_reply(line);
        return answer.is_broken() ? Lookup::broken(fmt::format("{}: {}", spec(), answer.reason())) : answer;
    }
    bool may_block() const override { return true; }
    // The server sees whole addresses and names, never their parts (tcp_table(5)).
    bool has_fixed_keys() const override { return false; }

private:
    const std::shared_ptr<LookupClient> client_; // tables on one server share it
};

} // namespace

std::string tcp_quote(std::string_view text)
{
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '%' || byte <= ' ' || byte >= 0x7f)
            out += fmt::format("%{:02X}", byte);
        else
            out += c;
    }
    return out;
}

Lookup parse_tcp_reply(std::string_view line)
{
    const std::string_view code = line.substr(0, 3);
    const bool well_formed =
        line.size() >= 4 && line[3] == ' ' && (code == "200" || code == "400" || code == "500");
    auto text = well_formed ? unquote(line.substr(4)) : std::nullopt;
    if (!text)
        return Lookup::broken(fmt::format("malformed reply \"{}\"", printable(line.substr(0, 100))));
    if (code == "500")
        return Lookup::absent();
    if (code == "400")
        return Lookup::broken(fmt::format("the server says 400: {}", printable(*text, true)));
    return Lookup::found(*std::move(text));
}

Result<std::unique_ptr<Table>> open_tcp(std::string_view name, const TableOptions&)
{
    TRY(const ServerName server, ServerName::parse(fmt::format("inet:{}", name)));
    return std::unique_ptr<Table>(std::make_unique<TcpTable>(LookupClient::shared(server, {})));
}

} // namespace bulkhead
