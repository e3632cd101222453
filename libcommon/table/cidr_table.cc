// cidr: tables: rules `network result`, tried in order against an IP address.
#include "base/text.h"
#include "log/log.h"
#include "os/files.h"
#include "table/file_watch.h"
#include "table/network.h"
#include "table/rules.h"
#include "table/types.h"

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

class CidrTable final : public Table
{
public:
    static Result<std::unique_ptr<Table>> open(const std::string& path)
    {
        auto table = std::make_unique<CidrTable>();
        TRY(RuleSource source, read_rules(path));
        table->watch_ = std::move(source.watch);
        table->lines_ = parse_rule_lines(source.text, path);
        for (const RuleLine& line : table->lines_) {
            table->rules_.emplace_back();
            if (line.kind == RuleLine::Kind::end_if)
                continue;
            const auto added = table->rules_.back().set(line);
            if (!added)
                log::write(Severity::warning,
                           fmt::format("{}: {}; skipping this rule", line.place(), added.error().context));
        }
        return std::unique_ptr<Table>(std::move(table));
    }

    Lookup find(std::string_view key) override
    {
        const auto address = IpAddress::parse(key);
        if (!address)
            return Lookup::absent();
        Lookup answer = Lookup::absent();
        run_rules(lines_, [&](std::size_t i) {
            const Rule& rule = rules_[i];
            if (!rule.is_good)
                return false;
            const bool holds = rule.network.contains(*address) != lines_[i].negated;
            if (holds && lines_[i].kind == RuleLine::Kind::rule)
                answer = Lookup::found(rule.result);
            return holds;
        });
        return answer;
    }
    bool has_fixed_keys() const override { return false; }
    bool is_stale() const override { return watch_.changed(); }

private:
    struct Rule {
        IpNetwork network;
        std::string result;
        bool is_good = false;

        Result<> set(const RuleLine& line)
        {
            const std::string_view text = line.condition;
            const auto end = std::min(text.find_first_of(" \t"), text.size());
            TRY(network, IpNetwork::parse(text.substr(0, end)));
            result = trim(text.substr(end));
            if (line.kind == RuleLine::Kind::rule && result.empty())
                return Error{Fault::config, "no result after the network"};
            is_good = true;
            return {};
        }
    };

    std::vector<RuleLine> lines_;
    std::vector<Rule> rules_; // one for each line
    FileWatch watch_;
};

} // namespace

Result<std::unique_ptr<Table>> open_cidr(std::string_view name, const TableOptions&)
{
    return CidrTable::open(std::string(name));
}

} // namespace bulkhead
