// Tables made of other tables or values: unionmap, pipemap, randmap.
#include "base/text.h"
#include "config/values.h"
#include "table/fold.h"
#include "table/types.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

namespace bulkhead
{

namespace
{

constexpr std::size_t result_limit = 1 << 20;

// The elements of "{a, b, ...}"; what: what they are, for the message.
Result<std::vector<std::string>> elements_of(std::string_view type, std::string_view name,
                                             std::string_view what)
{
    const Error bad{Fault::config, fmt::format("bad syntax: \"{0}:{1}\"; need \"{0}:{{{2}...}}\"", type,
                                               printable(name), what)};
    if (!name.starts_with('{') || !name.ends_with('}') || name.size() < 2)
        return bad;
    std::vector<std::string> elements = parse_list(name.substr(1, name.size() - 2));
    const auto has_no_type = [](const std::string& element) { return element.find(':') == element.npos; };
    if (elements.empty() || (what != "value" && std::ranges::any_of(elements, has_no_type)))
        return bad;
    return elements;
}

class CompoundTable : public Table
{
public:
    CompoundTable(std::vector<std::unique_ptr<Table>> tables, bool fold)
        : tables_(std::move(tables)),
          fold_(fold &&
                std::ranges::any_of(tables_, [](const auto& table) { return table->has_fixed_keys(); }))
    {
    }

    // The whole key must be asked for as soon as one part wants it so.
    bool has_fixed_keys() const override
    {
        return std::ranges::all_of(tables_, [](const auto& table) { return table->has_fixed_keys(); });
    }
    bool is_stale() const override
    {
        return std::ranges::any_of(tables_, [](const auto& table) { return table->is_stale(); });
    }

    bool may_block() const override
    {
        return std::ranges::any_of(tables_, [](const auto& table) { return table->may_block(); });
    }

protected:
    const std::vector<std::unique_ptr<Table>>& tables() const { return tables_; }

    // One member with fixed keys makes all see the key in lower case.
    std::string first_key(std::string_view key) const { return fold_ ? fold_key(key) : std::string(key); }

private:
    std::vector<std::unique_ptr<Table>> tables_;
    bool fold_;
};

// All answers, joined with commas.
class UnionTable final : public CompoundTable
{
public:
    using CompoundTable::CompoundTable;
    Lookup find(std::string_view key) override
    {
        std::vector<std::string> values;
        std::size_t size = 0;
        const std::string wanted = first_key(key);
        for (const auto& table : tables()) {
            Lookup answer = table->find(wanted);
            if (answer.is_broken())
                return answer;
            if (answer.is_found() && !answer.value().empty())
                values.push_back(answer.value());
            if (values.size() > 0 && (size += values.back().size()) > result_limit)
                return Lookup::broken(fmt::format("{}: the result is too long", spec()));
        }
        return values.empty() ? Lookup::absent() : Lookup::found(fmt::format("{}", fmt::join(values, ",")));
    }
};

// Each answer is the next table's key.
class PipeTable final : public CompoundTable
{
public:
    using CompoundTable::CompoundTable;
    Lookup find(std::string_view key) override
    {
        Lookup answer = Lookup::found(first_key(key));
        for (const auto& table : tables()) {
            answer = table->find(answer.value());
            if (!answer.is_found())
                return answer;
        }
        return answer;
    }
};

class RandomTable final : public Table
{
public:
    explicit RandomTable(std::vector<std::string> values) : values_(std::move(values)) {}
    Lookup find(std::string_view) override
    {
        thread_local std::minstd_rand random{std::random_device{}()};
        std::uniform_int_distribution<std::size_t> pick(0, values_.size() - 1);
        return Lookup::found(values_[pick(random)]);
    }

private:
    std::vector<std::string> values_;
};

template <typename T>
Result<std::unique_ptr<Table>> open_compound(std::string_view type, std::string_view name,
                                             const TableOptions& options)
{
    TRY(const std::vector<std::string> elements, elements_of(type, name, "type:name"));
    std::vector<std::unique_ptr<Table>> tables;
    for (const std::string& element : elements) {
        TRY(std::unique_ptr<Table> table, open_table(element, options));
        tables.push_back(std::move(table));
    }
    return std::unique_ptr<Table>(std::make_unique<T>(std::move(tables), options.fold_fixed_keys));
}

} // namespace

Result<std::unique_ptr<Table>> open_unionmap(std::string_view name, const TableOptions& options)
{
    return open_compound<UnionTable>("unionmap", name, options);
}

Result<std::unique_ptr<Table>> open_pipemap(std::string_view name, const TableOptions& options)
{
    return open_compound<PipeTable>("pipemap", name, options);
}

Result<std::unique_ptr<Table>> open_randmap(std::string_view name, const TableOptions&)
{
    TRY(std::vector<std::string> elements, elements_of("randmap", name, "value"));
    for (std::string& element : elements)
        element = std::string(without_braces(element));
    return std::unique_ptr<Table>(std::make_unique<RandomTable>(std::move(elements)));
}

} // namespace bulkhead
