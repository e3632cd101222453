#include "table/socketmap_table.h"

#include "base/text.h"
#include "table/lookup_client.h"
#include "table/netstring.h"
#include "table/settings.h"
#include "table/types.h"

#include <fmt/format.h>

namespace bulkhead
{

Lookup parse_socketmap_reply(std::string_view text)
{
    const std::size_t blank = text.find(' ');
    const std::string_view word = text.substr(0, blank);
    const std::string_view rest = blank == text.npos ? std::string_view() : text.substr(blank + 1);
    if (word == "OK" && blank != text.npos && !rest.empty())
        return Lookup::found(std::string(rest));
    if (word == "NOTFOUND")
        return Lookup::absent();
    for (const std::string_view failure : {"TEMP", "TIMEOUT", "PERM"})
        if (word == failure)
            return Lookup::broken(fmt::format("the server says {}: {}", failure, printable(rest, true)));
    return Lookup::broken(fmt::format("malformed reply \"{}\"", printable(text.substr(0, 100))));
}

namespace
{

Result<std::size_t> end_of_reply(std::string_view bytes)
{
    TRY(const std::optional<Netstring> reply, parse_netstring(bytes, table_settings().socketmap_reply_limit));
    return reply ? reply->encoded : 0;
}

class SocketmapTable final : public Table
{
public:
    SocketmapTable(std::shared_ptr<LookupClient> client, std::string name, bool fold)
        : client_(std::move(client)), name_(std::move(name)), fold_(fold)
    {
    }

    Lookup find(std::string_view key) override
    {
        std::string request;
        const std::string query = fmt::format("{} {}", name_, fold_ ? lower(key) : std::string(key));
        if (query.size() > table_settings().socketmap_query_limit)
            return Lookup::broken(fmt::format("{}: the query is too long", spec()));
        append_netstring(request, query);
        const auto reply = client_->exchange(request, end_of_reply);
        if (!reply)
            return Lookup::broken(fmt::format("{}: {}", spec(), reply.error().context));
        const auto whole = parse_netstring(*reply, table_settings().socketmap_reply_limit);
        Lookup answer = parse_socketmap_reply((*whole)->text);
        return answer.is_broken() ? Lookup::broken(fmt::format("{}: {}", spec(), answer.reason())) : answer;
    }
    bool may_block() const override { return true; }

private:
    const std::shared_ptr<LookupClient> client_; // tables on one server share it
    const std::string name_;
    const bool fold_;
};

} // namespace

Result<std::unique_ptr<Table>> open_socketmap(std::string_view name, const TableOptions& options)
{
    const auto colon = name.rfind(':');
    const std::string_view map = colon == name.npos ? std::string_view() : name.substr(colon + 1);
    if (map.empty() || map.find('/') != map.npos)
        return Error{Fault::config, fmt::format("socketmap:{}: want inet:host:port:name or unix:path:name",
                                                printable(name))};
    TRY(const ServerName server, ServerName::parse(name.substr(0, colon)));
    return std::unique_ptr<Table>(std::make_unique<SocketmapTable>(
        LookupClient::shared(server, {}), std::string(map), options.fold_fixed_keys));
}

} // namespace bulkhead
