// Tables that are read whole when opened: texthash, inline; and those without
// contents: static, fail, environ, and internal, which is empty when it is opened.
#include "base/text.h"
#include "config/values.h"
#include "log/log.h"
#include "os/files.h"
#include "table/file_value.h"
#include "table/file_watch.h"
#include "table/fold.h"
#include "table/text_source.h"
#include "table/types.h"

#include <fmt/format.h>

#include <cstdlib>
#include <cstring>
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
        const auto it = fold_ ? entries_.find(fold_key(key)) : entries_.find(key);
        return it == entries_.end() ? Lookup::absent() : Lookup::found(it->second);
    }
    bool is_stale() const override { return watch_.changed(); }
    Result<> for_each(const Visitor& visit) const override
    {
        for (const auto& [key, value] : entries_)
            TRY_VOID(visit(key, value));
        return {};
    }

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
    explicit EnvironTable(bool fold) : fold_(fold) {}

    Lookup find(std::string_view key) override
    {
        if (key.find('\0') != key.npos)
            return Lookup::absent();
        const char* const value = std::getenv((fold_ ? fold_key(key) : std::string(key)).c_str());
        return value != nullptr ? Lookup::found(value) : Lookup::absent();
    }

private:
    bool fold_; // as for all types with fixed keys, though the names are seldom in lower case
};

} // namespace

// The value as the table gives it.
static Result<std::string> final_value(std::string value, const TableOptions& options)
{
    if (!options.values_are_files)
        return value;
    return read_file_value(value);
}

Result<std::unique_ptr<Table>> open_texthash(std::string_view name, const TableOptions& options)
{
    const std::string path(name);
    auto watch = FileWatch::open(path);
    if (!watch)
        return Error{watch.error().fault,
                     fmt::format("open database {}: {}", path, std::strerror(watch.error().number)),
                     watch.error().number};
    TRY(const std::string text, read_file(path, TextSource::size_limit));
    TextSource source = options.is_alias_source
                            ? TextSource::parse_aliases(text, path, options.fold_fixed_keys)
                            : TextSource::parse_map(text, path, options.fold_fixed_keys);
    for (const std::string& warning : source.warnings)
        log::warn(warning + (warning.ends_with("key whitespace value") ? " -- ignoring this line" : ""));
    Entries entries;
    for (SourceEntry& entry : source.entries) {
        auto value = final_value(std::move(entry.value), options);
        if (!value) {
            log::warn(
                fmt::format("{}, line {}: {}: skipping this entry", path, entry.line, value.error().context));
            continue;
        }
        const auto [it, is_new] = entries.try_emplace(std::move(entry.key), *std::move(value));
        if (!is_new)
            log::warn(fmt::format("{}, line {}: duplicate entry: \"{}\"", path, entry.line, it->first));
    }
    return std::unique_ptr<Table>(
        std::make_unique<MemoryTable>(std::move(entries), options.fold_fixed_keys, *std::move(watch)));
}

// {key=value, {key = value with blanks}}.
Result<std::unique_ptr<Table>> open_inline(std::string_view name, const TableOptions& options)
{
    const auto bad = [&](std::string_view reason) {
        return Error{Fault::config, fmt::format("{}: \"inline:{}\"; need \"inline:{{name=value...}}\"",
                                                reason, printable(name))};
    };
    if (!name.starts_with('{') || !name.ends_with('}') || name.size() < 2)
        return bad("bad syntax");
    Entries entries;
    for (const std::string& element : parse_list(name.substr(1, name.size() - 2))) {
        if (element.starts_with('{') && !element.ends_with('}'))
            return bad(fmt::format("syntax error after '}}' in \"{}\"", printable(element)));
        const std::string_view pair = without_braces(element);
        const auto equals = pair.find('=');
        if (equals == pair.npos)
            return bad("missing '=' after attribute name");
        const std::string_view key = trim(pair.substr(0, equals));
        TRY(std::string value, final_value(std::string(trim(pair.substr(equals + 1))), options));
        entries.insert_or_assign(options.fold_fixed_keys ? fold_key(key) : std::string(key),
                                 std::move(value));
    }
    if (entries.empty())
        return bad("bad syntax");
    return std::unique_ptr<Table>(
        std::make_unique<MemoryTable>(std::move(entries), options.fold_fixed_keys, FileWatch()));
}

Result<std::unique_ptr<Table>> open_internal(std::string_view, const TableOptions& options)
{
    return std::unique_ptr<Table>(
        std::make_unique<MemoryTable>(Entries(), options.fold_fixed_keys, FileWatch()));
}

Result<std::unique_ptr<Table>> open_static(std::string_view name, const TableOptions& options)
{
    const auto closing = name.rfind('}');
    if (name.starts_with('{') && closing != name.size() - 1)
        return Error{
            Fault::config,
            closing == name.npos
                ? fmt::format("bad static:name syntax: missing '}}' in \"{}\"", printable(name))
                : fmt::format("bad static:name syntax: syntax error after '}}' in \"{}\"", printable(name))};
    TRY(std::string value, final_value(std::string(without_braces(name)), options));
    return std::unique_ptr<Table>(std::make_unique<StaticTable>(std::move(value)));
}

Result<std::unique_ptr<Table>> open_fail(std::string_view name, const TableOptions&)
{
    return make_unavailable(fmt::format("fail:{}", name));
}

std::unique_ptr<Table> make_unavailable(std::string reason)
{
    return std::make_unique<FailTable>(std::move(reason));
}

Result<std::unique_ptr<Table>> open_environ(std::string_view, const TableOptions& options)
{
    return std::unique_ptr<Table>(std::make_unique<EnvironTable>(options.fold_fixed_keys));
}

} // namespace bulkhead
