#include "table/map_command.h"

#include "base/text.h"
#include "config/config.h"
#include "config/install_paths.h"
#include "log/log.h"
#include "table/client_config.h"
#include "table/fold.h"
#include "table/lmdb_table.h"
#include "table/map_file.h"
#include "table/message_keys.h"
#include "table/settings.h"
#include "table/table.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <iterator>
#include <optional>

namespace bulkhead
{

namespace
{

struct Options {
    MapBuild build; // what is asked for, but for type and name
    MessageKeyOptions message;
    std::string config_directory;
    std::string default_type = "hash";
    std::string queue_directory; // where proxymap is
    std::optional<std::string> query;
    std::optional<std::string> remove;
    bool list = false;
    bool as_json = false;
    std::vector<std::string> tables;
};

Error usage(bool is_aliases)
{
    return {Fault::config,
            fmt::format("usage: {} [-c config_dir] [-d key] [-q key] [map_type:]file...",
                        is_aliases ? "postalias [-Nfijnoprsuvw]" : "postmap [-bfFhijmnNoprsuUvw]")};
}

std::string help(bool is_aliases)
{
    const std::string_view name = is_aliases ? "postalias" : "postmap";
    std::string text =
        fmt::format("{0}: makes, changes and asks {1}.\n\n"
                    "  {0} [options] [TYPE:]FILE...           make FILE's database\n"
                    "  {0} [options] -q KEY [TYPE:]FILE...    ask; - for keys on standard input\n"
                    "  {0} [options] -d KEY [TYPE:]FILE...    remove an entry; - as above\n"
                    "  {0} [options] -s [TYPE:]FILE...        show all entries\n\n",
                    name, is_aliases ? "alias databases" : "lookup tables");
    text +=
        "  -i  add the entries on standard input   -r  replace duplicates   -w  no warning of them\n"
        "  -f  keep the case of keys               -u  no UTF-8             -N, -n  NUL at the end, or not\n"
        "  -p  do not copy the source's mode       -o  root stays root      -j  JSON, with -q and -s\n";
    if (!is_aliases)
        text +=
            "  -F  values are names of files           -h, -b, -m  with -q -: keys are a message's headers,\n"
            "      lines of its body, headers of its parts\n";
    return text + "\nExit codes: 0; 1 an error, and a key that was not found.\n";
}

// False: not an option of the command.
bool set_option(Options& options, int option)
{
    MapBuild& build = options.build;
    switch (option) {
    case 'N':
        build.ending = NulEnding::with;
        return true;
    case 'n':
        build.ending = NulEnding::without;
        return true;
    case 'F':
        build.values_are_files = true;
        return true;
    case 'b':
        options.message.body = true;
        return true;
    case 'h':
        options.message.headers = true;
        return true;
    case 'm':
        options.message.parse_mime = true;
        return true;
    case 'c':
        options.config_directory = ::optarg;
        return true;
    case 'd':
        options.remove = ::optarg;
        return true;
    case 'q':
        options.query = ::optarg;
        return true;
    case 'f':
        build.fold = false;
        return true;
    case 'i':
        build.from_stdin = true;
        return true;
    case 'j':
        options.as_json = true;
        return true;
    case 'o':
        build.keep_root = true;
        return true;
    case 'p':
        build.inherit_mode = false;
        return true;
    case 'r':
        build.replace = true;
        return true;
    case 's':
        options.list = true;
        return true;
    case 'w':
        build.is_quiet = true;
        return true;
    case 'u':
        build.utf8 = false;
        return true;
    case 'U':
        build.utf8 = true;
        return true;
    case 'v':
        log::set_verbosity(log::verbosity() + 1);
        return true;
    default:
        return false;
    }
}

Result<> check_options(Options& options)
{
    if (options.query.has_value() + options.remove.has_value() + options.list > 1)
        return Error{Fault::config, "specify only one of -s -q or -d"};
    MessageKeyOptions& message = options.message;
    if ((message.body || message.headers || message.parse_mime) && options.query != "-")
        return Error{Fault::config, "specify -b -h or -m only with \"-q -\""};
    if (message.parse_mime && !message.body && !message.headers)
        log::warn("ignoring -m option without -b or -h");
    if (options.as_json && !options.query && !options.list)
        return Error{Fault::config, "specify -j only with -s or -q"};
    return {};
}

Result<Options> parse_options(int argc, char** argv, MapSource source)
{
    Options options;
    options.build.is_aliases = source == MapSource::aliases;
    options.config_directory = default_config_directory();
    ::opterr = 0;
    const char* const known = options.build.is_aliases ? "Nc:d:fijnopq:rsuvw" : "Nbc:d:fFhijmnopq:rsuUvw";
    for (int option; (option = ::getopt(argc, argv, known)) != -1;) {
        if (set_option(options, option))
            continue;
        fmt::print(stderr, "{}: invalid option -- '{}'\n", options.build.is_aliases ? "postalias" : "postmap",
                   static_cast<char>(::optopt));
        return usage(options.build.is_aliases);
    }
    TRY_VOID(check_options(options));
    options.tables.assign(argv + ::optind, argv + argc);
    if (options.tables.empty())
        return usage(options.build.is_aliases);
    return options;
}

// A missing main.cf matters only to a table without a type.
Result<> read_config(Options& options)
{
    const auto config = Config::load(options.config_directory);
    if (config) {
        options.default_type = config->get("default_database_type");
        options.build.myhostname = config->get("myhostname");
        options.queue_directory = config->get("queue_directory");
        take_table_settings(*config);
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
    std::string path;
};

// What -d and the making of a map work on.
Result<Target> database_of(std::string_view spec, const Options& options)
{
    const auto [type, name] = split_table_spec(spec, options.default_type);
    if (type.empty() || name.empty())
        return Error{
            Fault::config,
            fmt::format("open dictionary: expecting \"type:name\" form instead of \"{}\"", printable(spec))};
    const auto types = table_types();
    if (std::ranges::find(types, type) == types.end())
        return Error{Fault::config, fmt::format("unsupported dictionary type: {}", printable(type))};
    const auto path = map_path(type, name);
    if (!path)
        return Error{Fault::config,
                     options.remove
                         ? fmt::format("{}:{} map requires O_RDONLY access mode", type, printable(name))
                         : fmt::format("unsupported dictionary type: {} does not support bulk-mode creation.",
                                       printable(type))};
    return Target{std::string(type), std::string(name), *path};
}

Result<> create(const std::string& spec, const Options& options)
{
    TRY(const Target target, database_of(spec, options));
    MapBuild build = options.build;
    build.type = target.type;
    build.name = target.name;
    return build_map(build);
}

std::string read_all(std::istream& in)
{
    return {std::istreambuf_iterator<char>(in), {}};
}

// One key, or with "-" those on standard input, one a line, or of a message there.
std::vector<std::string> keys_of(const std::string& argument, const MessageKeyOptions& message = {})
{
    if (argument != "-")
        return {argument};
    if (message.body || message.headers)
        return message_keys(read_all(std::cin), message);
    std::vector<std::string> keys;
    for (std::string line; std::getline(std::cin, line);)
        keys.push_back(std::move(line));
    return keys;
}

std::string json_text(std::string_view text)
{
    std::string quoted = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\')
            quoted.append(1, '\\').append(1, c);
        else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
            quoted += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
        else
            quoted.push_back(c);
    }
    return quoted + '"';
}

// A pair, as -s and "-q -" show it.
void print_pair(std::string_view key, std::string_view value, const Options& options)
{
    if (options.as_json)
        fmt::print("{{{}: {}}}\n", json_text(key), json_text(value));
    else
        fmt::print("{}{}\t{}\n", key, options.build.is_aliases ? ":" : "", value);
}

Result<std::vector<std::unique_ptr<Table>>> open_tables(const Options& options)
{
    TableOptions table_options;
    table_options.default_type = options.default_type;
    table_options.fold_fixed_keys = options.build.fold;
    table_options.is_alias_source = options.build.is_aliases;
    table_options.values_are_files = options.build.values_are_files;
    table_options.queue_directory = options.queue_directory;
    std::vector<std::unique_ptr<Table>> tables;
    for (const std::string& spec : options.tables) {
        TRY(std::unique_ptr<Table> table, open_table(spec, table_options));
        tables.push_back(std::move(table));
    }
    return tables;
}

Result<bool> query(const Options& options)
{
    const bool is_many = *options.query == "-";
    bool found = false;
    TRY(const auto tables, open_tables(options));
    for (const std::string& key : keys_of(*options.query, options.message)) {
        for (const auto& table : tables) {
            const Lookup answer =
                key.empty() && table->has_fixed_keys() ? Lookup::absent() : table->find(key);
            if (answer.is_broken())
                return Error{Fault::broken,
                             fmt::format("table {}: query error: {}", table->spec(), answer.reason())};
            if (!answer.is_found())
                continue;
            if (answer.value().empty()) {
                log::warn(
                    fmt::format("table {}: key {}: empty string result is not allowed", table->spec(), key));
                log::warn(
                    fmt::format("table {} should return NO RESULT in case of NOT FOUND", table->spec()));
            }
            if (is_many || options.as_json)
                print_pair(key, answer.value(), options);
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
        if (::access(target.path.c_str(), F_OK) != 0)
            return Error{Fault::config,
                         fmt::format("open database {}: {}", target.path, std::strerror(errno))};
        if (target.type == "cdb")
            return Error{
                Fault::config,
                fmt::format("{}: a cdb file cannot be changed, only made anew from its source", target.path)};
        TRY(const OwnerOf owner, OwnerOf::enter(target.path, options.build.keep_root));
        TRY(const MapLock lock, MapLock::wait(target.path));
        TRY(LmdbWriter writer, LmdbWriter::create(target.path, target.path, true));
        bool is_changed = false;
        for (const std::string& key : keys) {
            TRY(const bool gone, writer.remove(options.build.fold ? fold_key(key, options.build.utf8) : key));
            is_changed = is_changed || gone;
        }
        if (is_changed) {
            TRY_VOID(writer.commit());
            removed = true;
        }
    }
    return removed;
}

Result<> list(const Options& options)
{
    TRY(const auto tables, open_tables(options));
    for (const auto& table : tables)
        TRY_VOID(table->for_each([&](std::string_view key, std::string_view value) -> Result<> {
            print_pair(key, value, options);
            return {};
        }));
    return {};
}

// True: exit status 0.
Result<bool> run(int argc, char** argv, MapSource source)
{
    TRY(Options options, parse_options(argc, argv, source));
    set_main_cf_of_tables(options.config_directory);
    TRY_VOID(read_config(options));
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
    if (argc == 2 && std::string_view(argv[1]) == "--help") {
        std::fputs(help(source == MapSource::aliases).c_str(), stdout);
        return std::fflush(stdout) == 0 ? 0 : 1;
    }
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
