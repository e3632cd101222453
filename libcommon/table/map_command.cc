#include "table/map_command.h"

#include "base/text.h"
#include "config/config.h"
#include "config/install_paths.h"
#include "log/log.h"
#include "os/files.h"
#include "table/lmdb_table.h"
#include "table/table.h"
#include "table/text_source.h"

#include <fmt/format.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <optional>

namespace bulkhead
{

namespace
{

struct Options {
    MapSource source = MapSource::map;
    std::string config_directory;
    std::string default_type = "hash";
    std::optional<std::string> query;
    std::optional<std::string> remove;
    bool list = false;
    bool incremental = false;
    bool replace = false;
    bool silent_duplicates = false;
    bool fold = true;
    bool inherit_mode = true;
    bool keep_root = false;
    NulEnding ending = NulEnding::without;
    std::vector<std::string> tables;
};

// While it lives, a process of root acts as the owner of a file: a database that belongs into
// somebody's folder is written with that user's rights, so nothing there can trick root.
class OwnerOf
{
public:
    static Result<OwnerOf> enter(const std::string& path, bool keep_root)
    {
        struct stat status{};
        if (::stat(path.c_str(), &status) != 0)
            return system_error("open " + path);
        OwnerOf owner;
        if (keep_root || ::geteuid() != 0 || status.st_uid == 0)
            return owner;
        if (::setgroups(0, nullptr) != 0 || ::setegid(status.st_gid) != 0 || ::seteuid(status.st_uid) != 0)
            return system_error("become the owner of " + path);
        owner.changed_ = true;
        return owner;
    }
    OwnerOf(OwnerOf&& other) noexcept : changed_(std::exchange(other.changed_, false)) {}
    ~OwnerOf()
    {
        if (changed_)
            ensure(::seteuid(0) == 0 && ::setegid(0) == 0, "the user of root comes back");
    }

private:
    OwnerOf() = default;
    bool changed_ = false;
};

Error usage(std::string_view program)
{
    return {Fault::config, fmt::format("usage: {} [-finoprsuvwN] [-c config_dir] [-d key] [-q key] "
                                       "[map_type:]file...",
                                       program)};
}

Result<Options> parse_options(int argc, char** argv, MapSource source)
{
    Options options;
    options.source = source;
    options.config_directory = default_config_directory();
    const char* const program = source == MapSource::map ? "postmap" : "postalias";
    ::opterr = 0;
    for (int option; (option = ::getopt(argc, argv, "Nc:d:finopq:rsuUvw")) != -1;) {
        switch (option) {
        case 'N':
            options.ending = NulEnding::with;
            break;
        case 'n':
            options.ending = NulEnding::without;
            break;
        case 'c':
            options.config_directory = ::optarg;
            break;
        case 'd':
            options.remove = ::optarg;
            break;
        case 'q':
            options.query = ::optarg;
            break;
        case 'f':
            options.fold = false;
            break;
        case 'i':
            options.incremental = true;
            break;
        case 'o':
            options.keep_root = true;
            break;
        case 'p':
            options.inherit_mode = false;
            break;
        case 'r':
            options.replace = true;
            break;
        case 's':
            options.list = true;
            break;
        case 'w':
            options.silent_duplicates = true;
            break;
        case 'u': // keys are folded by ASCII rules whether UTF-8 or not
        case 'U':
            break;
        case 'v':
            log::set_verbosity(log::verbosity() + 1);
            break;
        default:
            return usage(program);
        }
    }
    if (options.query.has_value() + options.remove.has_value() + options.list > 1)
        return Error{Fault::config, "specify only one of -d, -q or -s"};
    options.tables.assign(argv + ::optind, argv + argc);
    if (options.tables.empty())
        return usage(program);
    return options;
}

// A missing main.cf matters only to a table without a type.
Result<> read_default_type(Options& options)
{
    const auto config = Config::load(options.config_directory);
    if (config) {
        options.default_type = config->get("default_database_type");
        return {};
    }
    for (const std::string& table : options.tables)
        if (table.find(':') == table.npos && config.error().number != ENOENT)
            return config.error();
    return {};
}

struct Target {
    std::string type;
    std::string name;
};

Result<Target> database_of(std::string_view spec, const Options& options)
{
    const auto [type, name] = split_table_spec(spec, options.default_type);
    for (const std::string_view known : {"hash", "btree", "lmdb"})
        if (known == type && !name.empty())
            return Target{std::string(type), std::string(name)};
    return Error{Fault::config,
                 fmt::format("unsupported dictionary type for this operation: {}", printable(type))};
}

Result<> put_all(LmdbWriter& writer, const TextSource& source, const Options& options,
                 const std::string& path)
{
    for (const std::string& warning : source.warnings)
        log::warn(warning);
    const Duplicate duplicate = options.replace ? Duplicate::replace : Duplicate::refuse;
    for (const SourceEntry& entry : source.entries) {
        const auto stored = writer.put(entry.key, entry.value, options.ending, duplicate);
        if (stored)
            continue;
        if (stored.error().fault != Fault::refused)
            return stored.error();
        if (!options.silent_duplicates)
            log::warn(fmt::format("{}: {}", path, stored.error().context));
    }
    return {};
}

Result<> create(const std::string& spec, const Options& options)
{
    TRY(const Target target, database_of(spec, options));
    TRY(const OwnerOf owner, OwnerOf::enter(target.name, options.keep_root));
    TRY(const std::string text, read_file(target.name, TextSource::size_limit));
    const TextSource source = options.source == MapSource::map
                                  ? TextSource::parse_map(text, target.name, options.fold)
                                  : TextSource::parse_aliases(text, target.name, options.fold);
    const std::string path = lmdb_path(target.name);
    TRY(LmdbWriter writer,
        LmdbWriter::create(path, options.inherit_mode ? target.name : "", options.incremental));
    TRY_VOID(put_all(writer, source, options, path));
    return std::move(writer).commit();
}

// One key, or with "-" those on standard input, one a line.
std::vector<std::string> keys_of(const std::string& argument)
{
    if (argument != "-")
        return {argument};
    std::vector<std::string> keys;
    for (std::string line; std::getline(std::cin, line);)
        keys.push_back(std::move(line));
    return keys;
}

Result<bool> query(const Options& options)
{
    TableOptions table_options;
    table_options.default_type = options.default_type;
    table_options.fold_fixed_keys = options.fold;
    table_options.is_alias_source = options.source == MapSource::aliases;
    std::vector<std::unique_ptr<Table>> tables;
    for (const std::string& spec : options.tables) {
        TRY(std::unique_ptr<Table> table, open_table(spec, table_options));
        tables.push_back(std::move(table));
    }
    const bool many = *options.query == "-";
    bool found = false;
    for (const std::string& key : keys_of(*options.query)) {
        for (const auto& table : tables) {
            const Lookup answer = table->find(key);
            if (answer.is_broken())
                return Error{Fault::broken,
                             fmt::format("table {}: query error: {}", table->spec(), answer.reason())};
            if (!answer.is_found())
                continue;
            if (many)
                fmt::print("{}\t{}\n", key, answer.value());
            else
                fmt::print("{}\n", answer.value());
            found = true;
            break;
        }
    }
    return found;
}

Result<bool> remove(const Options& options)
{
    const std::vector<std::string> keys = keys_of(*options.remove);
    bool removed = false;
    for (const std::string& spec : options.tables) {
        TRY(const Target target, database_of(spec, options));
        const std::string path = lmdb_path(target.name);
        TRY(const OwnerOf owner, OwnerOf::enter(path, options.keep_root));
        TRY(LmdbWriter writer, LmdbWriter::create(path, path, true));
        bool changed = false;
        for (const std::string& key : keys) {
            TRY(const bool gone, writer.remove(options.fold ? lower(key) : key));
            changed = changed || gone;
        }
        if (changed) {
            TRY_VOID(std::move(writer).commit());
            removed = true;
        }
    }
    return removed;
}

Result<> list(const Options& options)
{
    for (const std::string& spec : options.tables) {
        TRY(const Target target, database_of(spec, options));
        TRY(const LmdbReader reader, LmdbReader::open(lmdb_path(target.name)));
        TRY_VOID(reader.for_each([](std::string_view key, std::string_view value) -> Result<> {
            const auto text = [](std::string_view bytes) { return bytes.substr(0, bytes.find('\0')); };
            fmt::print("{}\t{}\n", text(key), text(value));
            return {};
        }));
    }
    return {};
}

// True: exit status 0.
Result<bool> run(int argc, char** argv, MapSource source)
{
    TRY(Options options, parse_options(argc, argv, source));
    TRY_VOID(read_default_type(options));
    if (options.query)
        return query(options);
    if (options.remove)
        return remove(options);
    if (options.list) {
        TRY_VOID(list(options));
        return true;
    }
    for (const std::string& table : options.tables)
        TRY_VOID(create(table, options));
    return true;
}

} // namespace

int run_map_command(int argc, char** argv, MapSource source)
{
    log::set_tag(source == MapSource::map ? "postmap" : "postalias");
    const auto result = run(argc, argv, source);
    const bool written = std::fflush(stdout) == 0;
    if (!result)
        log::fatal(result.error().context);
    else if (!written)
        log::fatal(system_error("write to standard output").context);
    log::flush(true);
    return result && *result && written ? 0 : 1;
}

} // namespace bulkhead
