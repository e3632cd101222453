// Tables that are read whole when opened: texthash, inline; and those without
// contents: static, fail, environ.
#include "base/text.h"
#include "config/values.h"
#include "log/log.h"
#include "os/files.h"
#include "table/file_watch.h"
#include "table/text_source.h"
#include "table/types.h"

#include <fmt/format.h>

#include <cstdlib>
#include <unordered_map>

namespace bulkhead
{

namespace
{

struct KeyHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view key) const { return std::hash<std::string_view>{}(key); }
};
using Entries = std::unordered_map<std::string, std::string, KeyHash, std::equal_to<>>;

class MemoryTable final : public Table
{
public:
    MemoryTable(Entries entries, bool fold, FileWatch watch)
        : entries_(std::move(entries)), fold_(fold), watch_(std::move(watch))
    {
    }

    Lookup find(std::string_view key) override
    {
        const auto it = fold_ ? entries_.find(lower(key)) : entries_.find(key);
        return it == entries_.end() ? Lookup::absent() : Lookup::found(it->second);
    }
    bool is_stale() const override { return watch_.changed(); }

private:
    Entries entries_;
    bool fold_;
    FileWatch watch_;
};

// The same answer for every key.
class StaticTable final : public Table
{
public:
    explicit StaticTable(std::string value) : value_(std::move(value)) {}
    Lookup find(std::string_view) override { return Lookup::found(value_); }

private:
    std::string value_;
};

class FailTable final : public Table
{
public:
    explicit FailTable(std::string reason) : reason_(std::move(reason)) {}
    Lookup find(std::string_view) override { return Lookup::broken(reason_); }

private:
    std::string reason_;
};

class EnvironTable final : public Table
{
public:
    Lookup find(std::string_view key) override
    {
        const char* const value = std::getenv(std::string(key).c_str());
        return value != nullptr ? Lookup::found(value) : Lookup::absent();
    }
};

} // namespace

Result<std::unique_ptr<Table>> open_texthash(std::string_view name, const TableOptions& options)
{
    const std::string path(name);
    TRY(FileWatch watch, FileWatch::open(path));
    TRY(const std::string text, read_file(path, TextSource::size_limit));
    TextSource source = options.is_alias_source
                            ? TextSource::parse_aliases(text, path, options.fold_fixed_keys)
                            : TextSource::parse_map(text, path, options.fold_fixed_keys);
    for (const std::string& warning : source.warnings)
        log::write(Severity::warning, warning);
    Entries entries;
    for (SourceEntry& entry : source.entries) {
        const auto [it, is_new] = entries.try_emplace(std::move(entry.key), std::move(entry.value));
        if (!is_new)
            log::write(Severity::warning,
                       fmt::format("{}, line {}: duplicate entry: \"{}\"", path, entry.line, it->first));
    }
    return std::unique_ptr<Table>(
        std::make_unique<MemoryTable>(std::move(entries), options.fold_fixed_keys, std::move(watch)));
}

// {key = value, {key = value with blanks}}.
Result<std::unique_ptr<Table>> open_inline(std::string_view name, const TableOptions& options)
{
    const std::string_view text = without_braces(name);
    if (!trim(name).starts_with('{') || !trim(name).ends_with('}'))
        return Error{Fault::config,
                     fmt::format("inline:{}: want \"inline:{{name=value...}}\"", printable(name))};
    Entries entries;
    // "a = b" outside inner braces is three words: glue the ones around "=".
    std::vector<std::string> elements;
    for (std::string& word : parse_list(text)) {
        const bool joins =
            !elements.empty() && !elements.back().starts_with('{') &&
            (word == "=" || (word.starts_with('=') && elements.back().find('=') == std::string::npos) ||
             elements.back().ends_with('='));
        if (joins)
            elements.back() += word;
        else
            elements.push_back(std::move(word));
    }
    for (const std::string& element : elements) {
        const std::string_view pair = without_braces(element);
        const auto equals = pair.find('=');
        const std::string_view key = trim(pair.substr(0, equals));
        if (equals == pair.npos || key.empty())
            return Error{Fault::config, fmt::format("inline:{}: bad element \"{}\", want name=value",
                                                    printable(name), printable(pair))};
        entries.insert_or_assign(options.fold_fixed_keys ? lower(key) : std::string(key),
                                 std::string(trim(pair.substr(equals + 1))));
    }
    if (entries.empty())
        return Error{Fault::config, "inline:{}: empty table"};
    return std::unique_ptr<Table>(
        std::make_unique<MemoryTable>(std::move(entries), options.fold_fixed_keys, FileWatch()));
}

Result<std::unique_ptr<Table>> open_static(std::string_view name, const TableOptions&)
{
    return std::unique_ptr<Table>(std::make_unique<StaticTable>(std::string(without_braces(name))));
}

Result<std::unique_ptr<Table>> open_fail(std::string_view name, const TableOptions&)
{
    return make_unavailable(fmt::format("fail:{}", name));
}

std::unique_ptr<Table> make_unavailable(std::string reason)
{
    return std::make_unique<FailTable>(std::move(reason));
}

Result<std::unique_ptr<Table>> open_environ(std::string_view, const TableOptions&)
{
    return std::unique_ptr<Table>(std::make_unique<EnvironTable>());
}

} // namespace bulkhead
