// proxy:type:name: tables that proxymap has open for us, outside the jail and with few
// connections to their servers.  Where there is no proxymap - its service is not in
// master.cf, the mail system does not run, or the program may not use its socket - the
// table is opened here, with the rights that the program has.
#include "base/text.h"
#include "config/values.h"
#include "table/lookup_client.h"
#include "table/proxy_protocol.h"
#include "table/types.h"
#include "table/writable_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

namespace bulkhead
{

namespace
{

constexpr int nesting_limit = 10;

// What the table would say of itself, were it open here.
bool has_fixed_keys(std::string_view spec, int depth = 0)
{
    const auto [type, name] = split_table_spec(spec, "hash");
    if (type == "regexp" || type == "pcre" || type == "cidr" || type == "tcp")
        return false;
    if ((type != "unionmap" && type != "pipemap" && type != "debug") || depth == nesting_limit)
        return true;
    const std::vector<std::string> parts =
        type == "debug" ? std::vector{std::string(name)} : parse_list(without_braces(name));
    return std::ranges::all_of(parts,
                               [&](const std::string& part) { return has_fixed_keys(part, depth + 1); });
}

LookupClient::Limits proxy_limits()
{
    LookupClient::Limits limits;
    limits.time = Milliseconds(150'000); // longer than any table waits for its server
    limits.idle = Milliseconds(4'000);   // proxymap closes what is idle for longer
    return limits;
}

ServerName service_of(std::string_view name, const std::string& queue_directory)
{
    ServerName server;
    server.path = queue_directory.empty() ? fmt::format("private/{}", name)
                                          : fmt::format("{}/private/{}", queue_directory, name);
    server.text = name;
    return server;
}

// One request to proxymap; Fault::broken and Fault::refused as it answers.
Result<ProxyReply> ask_proxy(LookupClient& client, const ProxyRequest& request)
{
    if (request.table.size() + request.key.size() + request.value.size() > proxy_message_limit / 2)
        return Error{Fault::limit, "the key or value is too long"};
    std::string message;
    append_message(message, request);
    TRY(const std::string bytes, client.exchange(message, end_of_proxy_message));
    TRY(ProxyReply reply, parse_proxy_reply(bytes));
    if (reply.status == ProxyReply::Status::broken || reply.status == ProxyReply::Status::refused)
        return Error{reply.status == ProxyReply::Status::broken ? Fault::broken : Fault::refused,
                     std::move(reply.text)};
    return reply;
}

Lookup lookup_of(const Result<ProxyReply>& reply, const std::string& spec)
{
    if (!reply)
        return Lookup::broken(fmt::format("{}: {}", spec, reply.error().context));
    return reply->status == ProxyReply::Status::found ? Lookup::found(reply->text) : Lookup::absent();
}

class ProxyTable final : public Table
{
public:
    ProxyTable(std::shared_ptr<LookupClient> client, ProxyRequest request)
        : client_(std::move(client)), request_(std::move(request)),
          has_fixed_keys_(bulkhead::has_fixed_keys(request_.table))
    {
    }

    Lookup find(std::string_view key) override
    {
        ProxyRequest request = request_;
        request.key = key;
        return lookup_of(ask_proxy(*client_, request), spec());
    }
    bool may_block() const override { return true; }
    bool has_fixed_keys() const override { return has_fixed_keys_; }

private:
    const std::shared_ptr<LookupClient> client_; // all proxied tables of a process share it
    const ProxyRequest request_;                 // but for the key
    const bool has_fixed_keys_;
};

class WritableProxyTable final : public WritableTable
{
public:
    WritableProxyTable(std::shared_ptr<LookupClient> client, std::string table)
        : client_(std::move(client)), table_(std::move(table))
    {
    }

    Lookup find(std::string_view key) override { return lookup_of(ask(ProxyRequest::Op::find, key), spec()); }
    Result<> store(std::string_view key, std::string_view value) override
    {
        TRY_VOID(ask(ProxyRequest::Op::store, key, value));
        return {};
    }
    Result<bool> remove(std::string_view key) override
    {
        TRY(const ProxyReply reply, ask(ProxyRequest::Op::remove, key));
        return reply.status == ProxyReply::Status::found;
    }
    Result<std::optional<Entry>> after(std::string_view key) override
    {
        TRY(ProxyReply reply, ask(ProxyRequest::Op::after, key));
        if (reply.status != ProxyReply::Status::found)
            return std::optional<Entry>();
        return std::optional(Entry{std::move(reply.key), std::move(reply.text)});
    }

private:
    Result<ProxyReply> ask(ProxyRequest::Op op, std::string_view key, std::string_view value = {})
    {
        ProxyRequest request;
        request.op = op;
        request.table = table_;
        request.key = key;
        request.value = value;
        return ask_proxy(*client_, request);
    }

    const std::shared_ptr<LookupClient> client_; // shared like ProxyTable's
    const std::string table_;
};

} // namespace

Result<std::unique_ptr<Table>> open_proxy(std::string_view name, const TableOptions& options)
{
    const auto [type, rest] = split_table_spec(name, options.default_type);
    if (type == "proxy")
        return open_table(name, options);
    const auto client = LookupClient::shared(service_of("proxymap", options.queue_directory), proxy_limits());
    if (!client->is_there())
        return open_table(name, options);
    ProxyRequest request;
    request.table = fmt::format("{}:{}", type, rest);
    request.fold_fixed_keys = options.fold_fixed_keys;
    request.fold_patterns = options.fold_patterns;
    request.is_alias_source = options.is_alias_source;
    return std::unique_ptr<Table>(std::make_unique<ProxyTable>(client, std::move(request)));
}

Result<std::unique_ptr<WritableTable>> open_writable_table(std::string_view spec,
                                                           const std::string& queue_directory)
{
    const auto [type, name] = split_table_spec(spec, "btree");
    std::unique_ptr<WritableTable> table;
    if (type == "proxy") {
        const auto client = LookupClient::shared(service_of("proxywrite", queue_directory), proxy_limits());
        if (client->is_there())
            table = std::make_unique<WritableProxyTable>(client, std::string(name));
        else
            return open_writable_table(name, queue_directory);
    } else if (type == "btree" || type == "hash" || type == "lmdb") {
        TRY(table, open_cache_table(name));
    } else {
        return Error{Fault::config,
                     fmt::format("{}: a table of this type cannot be written to", printable(spec))};
    }
    table->set_spec(fmt::format("{}:{}", type, name));
    return table;
}

} // namespace bulkhead
