// debug:type:name: another table, with a line in the log for each question and its answer.
#include "base/text.h"
#include "log/log.h"
#include "table/types.h"

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

class DebugTable final : public Table
{
public:
    explicit DebugTable(std::unique_ptr<Table> table) : table_(std::move(table)) {}

    Lookup find(std::string_view key) override
    {
        Lookup answer = table_->find(key);
        const std::string shown = answer.match(
            [](const std::string& value) { return fmt::format("\"{}\"", printable(value, true)); },
            [] { return std::string("not found"); },
            [](const std::string& reason) { return "error: " + reason; });
        log::info(fmt::format("{} lookup: \"{}\" -> {}", table_->spec(), printable(key, true), shown));
        return answer;
    }
    bool may_block() const override { return table_->may_block(); }
    bool has_fixed_keys() const override { return table_->has_fixed_keys(); }
    bool is_stale() const override { return table_->is_stale(); }

private:
    std::unique_ptr<Table> table_;
};

} // namespace

Result<std::unique_ptr<Table>> open_debug(std::string_view name, const TableOptions& options)
{
    if (name.find(':') == name.npos)
        return Error{Fault::config,
                     fmt::format("bad syntax: \"debug:{}\"; need \"debug:type:name\"", printable(name))};
    TRY(std::unique_ptr<Table> table, open_table(name, options));
    return std::unique_ptr<Table>(std::make_unique<DebugTable>(std::move(table)));
}

} // namespace bulkhead
