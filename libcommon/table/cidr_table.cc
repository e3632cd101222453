// cidr: tables: rules `network result`, tried in order against an IP address.  IPv4 and IPv6 are two
// worlds here, also for IPv4 addresses written as IPv6.
#include "base/text.h"
#include "table/file_value.h"
#include "table/rules.h"
#include "table/types.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

namespace bulkhead
{

namespace
{

struct Address {
    std::array<std::uint8_t, 16> bytes{};
    std::size_t size = 0; // 4 or 16

    static std::optional<Address> parse(std::string_view text)
    {
        if (text.size() >= INET6_ADDRSTRLEN)
            return std::nullopt;
        const std::string terminated(text);
        const bool is_ipv6 = text.find(':') != text.npos;
        Address address;
        address.size = is_ipv6 ? 16 : 4;
        if (::inet_pton(is_ipv6 ? AF_INET6 : AF_INET, terminated.c_str(), address.bytes.data()) != 1)
            return std::nullopt;
        return address;
    }
    std::string text() const
    {
        char buffer[INET6_ADDRSTRLEN] = {};
        ::inet_ntop(size == 4 ? AF_INET : AF_INET6, bytes.data(), buffer, sizeof buffer);
        return buffer;
    }
};

struct Network {
    Address address;
    std::array<std::uint8_t, 16> mask{};

    // "192.0.2.0/24", "[2001:db8::]/32", "[2001:db8::/32]", or an address.
    static Result<Network> parse(std::string_view pattern)
    {
        if (pattern.empty())
            return Error{Fault::config, "no address pattern"};
        const auto slash = pattern.find('/');
        std::string host(pattern.substr(0, slash));
        std::string_view bits = slash == pattern.npos ? std::string_view{} : pattern.substr(slash + 1);
        if (host.starts_with('[')) {
            if (bits.ends_with(']'))
                bits.remove_suffix(1);
            else if (host.ends_with(']'))
                host.pop_back();
            else
                return Error{Fault::config,
                             fmt::format("missing ']' character after \"{}\"", printable(host))};
            host.erase(0, 1);
        }
        Network network;
        const auto address = Address::parse(host);
        const auto length = parse_unsigned(bits);
        if (slash != pattern.npos && !length)
            return Error{Fault::config, fmt::format("bad mask value in \"{}\"", printable(pattern))};
        if (!address)
            return Error{Fault::config, slash == pattern.npos
                                            ? fmt::format("bad address pattern: \"{}\"", printable(pattern))
                                            : fmt::format("bad network value in \"{}\"", printable(pattern))};
        network.address = *address;
        const std::uint64_t prefix = slash == pattern.npos ? address->size * 8 : *length;
        if (prefix > address->size * 8)
            return Error{Fault::config, fmt::format("bad mask length in \"{}\"", printable(pattern))};
        for (std::size_t i = 0; i < address->size; ++i) {
            const int kept = std::clamp(static_cast<int>(prefix) - static_cast<int>(i) * 8, 0, 8);
            network.mask[i] = static_cast<std::uint8_t>(0xff00 >> kept);
            network.address.bytes[i] &= network.mask[i];
        }
        if (network.address.bytes != address->bytes)
            return Error{
                Fault::config,
                fmt::format("non-null host address bits in \"{}\", perhaps you should use \"{}/{}\" instead",
                            printable(pattern), network.address.text(), prefix)};
        return network;
    }

    // candidate: of the same family.
    bool contains(const Address& candidate) const
    {
        for (std::size_t i = 0; i < address.size; ++i)
            if ((candidate.bytes[i] & mask[i]) != address.bytes[i])
                return false;
        return true;
    }
};

class CidrTable final : public Table
{
public:
    static Result<std::unique_ptr<Table>> open(std::string_view name, const TableOptions& options)
    {
        auto table = std::make_unique<CidrTable>();
        TRY(RuleSource source, RuleSource::open("cidr", name));
        const auto accept = [&](const RuleLine& line) {
            auto rule = Rule::parse(line, options.values_are_files);
            if (!rule)
                source.warn(line.line, fmt::format("{}: skipping this rule", rule.error().context));
            else
                table->rules_.push_back(*std::move(rule));
            return static_cast<bool>(rule);
        };
        table->lines_ = parse_rule_lines(source, accept);
        table->watch_ = std::move(source.watch);
        return std::unique_ptr<Table>(std::move(table));
    }

    Lookup find(std::string_view key) override
    {
        const auto address = Address::parse(key);
        const std::string* result = nullptr;
        if (!address)
            return Lookup::absent();
        run_rules(lines_, [&](const RuleLine& line) {
            const Rule& rule = rules_[line.rule];
            // The other family is neither in a network nor outside it.
            const bool holds =
                rule.network.address.size == address->size && rule.network.contains(*address) != line.negated;
            if (holds && line.kind == RuleLine::Kind::rule)
                result = &rule.result;
            return holds;
        });
        return result == nullptr ? Lookup::absent() : Lookup::found(*result);
    }
    bool has_fixed_keys() const override { return false; }
    bool is_stale() const override { return watch_.changed(); }

private:
    struct Rule {
        Network network;
        std::string result;

        static Result<Rule> parse(const RuleLine& line, bool value_is_file)
        {
            const std::string_view text = line.condition;
            const bool is_if = line.kind == RuleLine::Kind::if_block;
            const auto end = is_if ? text.size() : std::min(text.find_first_of(" \t"), text.size());
            Rule rule;
            TRY(rule.network, Network::parse(text.substr(0, end)));
            rule.result = trim(text.substr(end));
            if (!is_if && rule.result.empty())
                return Error{Fault::config, "no lookup result"};
            if (!is_if && value_is_file) {
                TRY(rule.result, read_file_value(rule.result));
            }
            return rule;
        }
    };

    std::vector<RuleLine> lines_;
    std::vector<Rule> rules_;
    FileWatch watch_;
};

} // namespace

Result<std::unique_ptr<Table>> open_cidr(std::string_view name, const TableOptions& options)
{
    return CidrTable::open(name, options);
}

} // namespace bulkhead
