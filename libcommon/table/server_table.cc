// mysql, pgsql, ldap and sqlite: what they have in common.  Which keys are asked for at all, how
// the questions are made from them, and how the values become one answer; the rest is in modules.
#include "base/text.h"
#include "log/log.h"
#include "os/jail.h"
#include "table/client_config.h"
#include "table/domain_list.h"
#include "table/query_template.h"
#include "table/server_modules.h"
#include "table/server_pool.h"
#include "table/types.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

namespace bulkhead
{

namespace
{

constexpr std::size_t key_limit = 64 << 10;
constexpr std::size_t host_limit = 100;

struct ServerTableParts {
    bool fold = true;
    std::vector<QueryTemplate> questions;
    QueryTemplate result_format;
    MatchList domains;
    bool has_domains = false;
    std::size_t expansion_limit = 0;
};

class ServerTable final : public Table
{
public:
    ServerTable(ServerTableParts parts, std::unique_ptr<ServerPool> pool)
        : parts_(std::move(parts)), pool_(std::move(pool))
    {
    }

    bool may_block() const override { return true; }

    // Asked on the loop now and then: the place to tell what happened on a look-up thread.
    bool is_stale() const override
    {
        log_warnings();
        return false;
    }

    Lookup find(std::string_view key) override
    {
        const std::string name = parts_.fold ? lower(key) : std::string(key);
        const AddressParts address(name);
        if (Lookup refused = eligible(name, address); !refused.is_found())
            return refused;
        ServerValues values;
        std::string reason;
        const auto compose = [&](ServerConnection& connection) { return fill(address, connection); };
        const bool answered = pool_->ask(compose, values, reason);
        if (::getpid() == ::gettid())
            log_warnings();
        if (!answered)
            return Lookup::broken(fmt::format("table {}: {}", spec(), reason));
        return join(values, address);
    }

private:
    // found: may be asked for.
    Lookup eligible(const std::string& name, const AddressParts& address) const
    {
        if (name.empty() || name.size() > key_limit || name.find('\0') != name.npos || !is_valid_utf8(name))
            return Lookup::absent();
        if (parts_.has_domains) {
            if (address.local.empty() || !address.domain || address.domain->empty())
                return Lookup::absent();
            const ListMatch match = parts_.domains.match(*address.domain);
            if (match.is_broken())
                return Lookup::broken(fmt::format("table {}: domain: {}", spec(), match.reason));
            if (!match)
                return Lookup::absent();
        }
        const bool fits = parts_.result_format.fits_results_of(address) &&
                          std::ranges::all_of(parts_.questions, [&](const QueryTemplate& question) {
                              return question.fits(address);
                          });
        return fits ? Lookup::found({}) : Lookup::absent();
    }

    std::optional<std::vector<std::string>> fill(const AddressParts& address,
                                                 ServerConnection& connection) const
    {
        std::vector<std::string> texts;
        for (std::size_t part = 0; part < parts_.questions.size(); ++part) {
            auto text = parts_.questions[part].fill(address, [&](std::string_view raw, std::string& out) {
                return connection.quote(part, raw, out);
            });
            if (!text)
                return std::nullopt;
            texts.push_back(*std::move(text));
        }
        return texts;
    }

    Lookup join(const ServerValues& values, const AddressParts& address) const
    {
        std::string joined;
        std::size_t count = 0;
        for (const std::string& value : values.all()) {
            const auto formatted = parts_.result_format.format(value, address);
            if (!formatted)
                continue;
            if (parts_.expansion_limit > 0 && count == parts_.expansion_limit)
                return Lookup::broken(fmt::format("table {}: more than {} values for {} (expansion_limit)",
                                                  spec(), parts_.expansion_limit, printable(address.whole)));
            if (count++ > 0)
                joined += ',';
            joined += *formatted;
        }
        return joined.empty() ? Lookup::absent() : Lookup::found(std::move(joined));
    }

    void log_warnings() const
    {
        for (const std::string& warning : pool_->take_warnings())
            log::warn(fmt::format("table {}: {}", spec(), warning));
    }

    ServerTableParts parts_;
    std::unique_ptr<ServerPool> pool_;
};

QueryTemplate read_template(ClientConfig& config, const std::string& parameter, std::string_view text)
{
    auto parsed = QueryTemplate::parse(text);
    if (parsed)
        return *std::move(parsed);
    config.complain(parameter, parsed.error().context);
    return {};
}

ServerTableParts read_parts(ClientConfig& config, const ServerDriver& driver, bool fold)
{
    ServerTableParts parts;
    parts.fold = fold;
    for (const ServerQuestion& question : driver.questions())
        parts.questions.push_back(read_template(config, question.parameter, question.text));
    const bool old_name = !config.has("result_format") && config.has("result_filter");
    const std::string format_name = old_name ? "result_filter" : "result_format";
    parts.result_format = read_template(config, format_name, config.text(format_name, "%s"));
    parts.expansion_limit =
        static_cast<std::size_t>(config.number("expansion_limit", 0, 0, ServerValues::count_limit));
    const std::string domains = config.text("domain");
    if (trim(domains).empty())
        return parts;
    auto list = MatchList::open(domains, {.kind = ListKind::strings, .parameter = "domain"});
    if (!list)
        config.complain("domain", list.error().context);
    else
        parts.domains = *std::move(list);
    parts.has_domains = true;
    return parts;
}

std::vector<ServerHost> read_hosts(const ServerDriver& driver)
{
    std::vector<ServerHost> hosts;
    for (const std::string& text : driver.hosts())
        if (hosts.size() < host_limit)
            hosts.push_back(parse_server_host(text));
    return hosts;
}

Result<std::unique_ptr<Table>> open_server_table(std::string_view type, std::string_view name,
                                                 const TableOptions& options)
{
    TRY(const ServerModule* const module, load_server_module(type));
    TRY(ClientConfig config, ClientConfig::read(name));
    std::unique_ptr<ServerDriver> driver = module->open(config);
    ServerTableParts parts = read_parts(config, *driver, options.fold_fixed_keys);
    PoolTimes times;
    times.idle = std::chrono::seconds(config.seconds("idle_interval", 60));
    times.retry = std::chrono::seconds(config.seconds("retry_interval", 60));
    std::vector<ServerHost> hosts = read_hosts(*driver);
    TRY_VOID(config.verdict());
    if (std::ranges::any_of(hosts, [](const ServerHost& host) { return host.socket.empty(); }) &&
        !driver->is_file())
        allow_network_in_jail();
    auto pool = std::make_unique<ServerPool>(std::move(driver), std::move(hosts), times);
    std::string reason;
    if (pool->driver().is_file() && !pool->open_now(reason))
        return Error{Fault::io, fmt::format("{}:{}: {}", type, name, reason)};
    return std::unique_ptr<Table>(std::make_unique<ServerTable>(std::move(parts), std::move(pool)));
}

} // namespace

Result<std::unique_ptr<Table>> open_mysql(std::string_view name, const TableOptions& options)
{
    return open_server_table("mysql", name, options);
}

Result<std::unique_ptr<Table>> open_pgsql(std::string_view name, const TableOptions& options)
{
    return open_server_table("pgsql", name, options);
}

Result<std::unique_ptr<Table>> open_ldap(std::string_view name, const TableOptions& options)
{
    return open_server_table("ldap", name, options);
}

Result<std::unique_ptr<Table>> open_sqlite(std::string_view name, const TableOptions& options)
{
    return open_server_table("sqlite", name, options);
}

} // namespace bulkhead
