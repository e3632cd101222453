// postconf: shows and edits parameters of main.cf and services of master.cf.
#include "base/text.h"
#include "config/config.h"
#include "config/file_edit.h"
#include "config/install_paths.h"
#include "config/known_parameters.h"
#include "config/master_cf.h"
#include "config/values.h"
#include "log/log.h"
#include "os/files.h"
#include "table/table.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <set>

using namespace bulkhead;

namespace
{

enum class Mode { main, services, fields, service_parameters };
enum class Action { show, edit, comment_out, remove };

struct Options {
    Mode mode = Mode::main;
    Action action = Action::show;
    std::string config_directory;
    std::vector<std::string> overrides;
    std::string parameter_class; // of -C; empty: all
    bool defaults = false;
    bool only_set = false;
    bool expand = false;
    bool fold = false;
    bool hide_name = false;
    bool hide_value = false;
    std::string words; // of -m, -l, -a, -A: one per line, nothing else
    std::vector<std::string> arguments;

    std::string main_cf() const { return config_directory + "/main.cf"; }
    std::string master_cf() const { return config_directory + "/master.cf"; }
};

Error fault(std::string text)
{
    return {Fault::config, std::move(text)};
}

Result<Options> parse_options(int argc, char** argv)
{
    Options options;
    options.config_directory = default_config_directory();
    ::opterr = 0;
    for (int option; (option = ::getopt(argc, argv, "aAc:C:deEfFhHlmMno:pPvxX#")) != -1;) {
        switch (option) {
        case 'a':
        case 'A':
            options.words += ' '; // no SASL implementation is linked in
            break;
        case 'c':
            options.config_directory = ::optarg;
            break;
        case 'C':
            options.parameter_class = ::optarg;
            break;
        case 'd':
            options.defaults = true;
            break;
        case 'e':
            options.action = Action::edit;
            break;
        case 'f':
            options.fold = true;
            break;
        case 'F':
            options.mode = Mode::fields;
            break;
        case 'h':
            options.hide_name = true;
            break;
        case 'H':
            options.hide_value = true;
            break;
        case 'l':
            options.words += "flock fcntl dotlock";
            break;
        case 'm':
            for (const std::string_view type : table_types())
                options.words.append(type).push_back(' ');
            break;
        case 'M':
            options.mode = Mode::services;
            break;
        case 'n':
            options.only_set = true;
            break;
        case 'o':
            options.overrides.emplace_back(::optarg);
            break;
        case 'p':
            options.mode = Mode::main;
            break;
        case 'P':
            options.mode = Mode::service_parameters;
            break;
        case 'v':
            break;
        case 'x':
            options.expand = true;
            break;
        case 'X':
            options.action = Action::remove;
            break;
        case '#':
            options.action = Action::comment_out;
            break;
        default:
            return fault(
                "usage: postconf [-a|-A|-l|-m] [-d|-n] [-efhHxX#] [-M|-F|-P] [-C class] [-c config_dir] "
                "[-o name=value] [name...]");
        }
    }
    options.arguments.assign(argv + ::optind, argv + argc);
    if (options.defaults && options.only_set)
        return fault("specify one of -d and -n");
    // "postconf name=value" edits without -e.
    const bool assigns =
        std::ranges::any_of(options.arguments, [](const auto& a) { return a.find('=') != a.npos; });
    if (options.action == Action::show && assigns)
        options.action = Action::edit;
    return options;
}

// ---- printing

// Breaks at blanks once a line is long; further lines begin with four blanks.
std::string folded(std::string_view line)
{
    constexpr std::size_t line_limit = 60;
    std::string out;
    std::size_t column = 0;
    for (const std::string_view word : split(line, " \t")) {
        if (column == 0) {
            column = word.size();
        } else if (column + 1 + word.size() < line_limit) {
            out.push_back(' ');
            column += 1 + word.size();
        } else {
            out.append("\n    ");
            column = 4 + word.size();
        }
        out.append(word);
    }
    return out;
}

void print_pair(const Options& options, std::string_view name, std::string_view value)
{
    std::string line;
    if (options.hide_value)
        line = name;
    else if (options.hide_name)
        line = value;
    else
        line = fmt::format("{} = {}", name, value);
    while (line.ends_with(' '))
        line.pop_back();
    fmt::print("{}\n", options.fold ? folded(line) : line);
}

// ---- main.cf

std::string shown_value(const Config& config, const Options& options, std::string_view name)
{
    const auto raw = options.defaults ? config.default_value(name) : config.raw(name);
    const std::string text = raw.value_or("");
    if (!options.expand)
        return text;
    return (options.defaults ? config.expand_text(text) : config.expanded(name)).value_or(text);
}

bool is_delivery_agent(const ServiceEntry& service)
{
    static constexpr std::array<std::string_view, 7> agents{"error", "lmtp",  "local",  "pipe",
                                                            "smtp",  "spawn", "virtual"};
    return service.type == ServiceType::unix_stream &&
           std::ranges::find(agents, service.command) != agents.end();
}

// x_destination_concurrency_limit and its like, for each delivery service.
void add_service_names(std::set<std::string>& names, const MasterCf& master)
{
    for (const ServiceEntry& service : master.services) {
        if (!is_delivery_agent(service))
            continue;
        const bool runs_command = service.command == "pipe" || service.command == "spawn";
        for (const std::string_view suffix : transport_suffixes()) {
            const bool is_time_limit = suffix == "_time_limit";
            if (is_time_limit ? runs_command : service.command != "spawn")
                names.insert(fmt::format("{}{}", service.name, suffix));
        }
    }
}

// master.cf if it can be read: the list of names is only richer with it.
MasterCf services_of(const Options& options, const Config& config)
{
    auto master = MasterCf::read(options.master_cf(), config.compatibility_level());
    if (!master && ::access(options.master_cf().c_str(), F_OK) == 0)
        log::warn(master.error().context);
    return master ? *std::move(master) : MasterCf{};
}

Result<std::set<std::string>> all_names(const Options& options, const Config& config, const MasterCf& master)
{
    const std::string_view wanted = options.parameter_class;
    const auto wants = [&](std::string_view name) {
        return wanted.empty() || wanted == "all" || wanted == name;
    };
    if (!wants("builtin") && !wants("service") && !wants("user"))
        return fault(fmt::format("bad parameter class: \"{}\", want builtin, service, user or all",
                                 printable(wanted)));

    std::set<std::string> names;
    if (wants("builtin"))
        for (const KnownParameter& known : known_parameters())
            if (known.origin == ParameterOrigin::builtin || known.origin == ParameterOrigin::own ||
                config.has_user_setting(known.name))
                names.emplace(known.name);
    if (wants("service"))
        add_service_names(names, master);
    std::set<std::string> unused;
    for (const UnknownName& unknown : config.unknown_names(master.services))
        unused.insert(unknown.name);
    if (wants("user"))
        for (const auto& [name, setting] : config.main_cf().settings())
            if (find_known_parameter(name) == nullptr && !unused.contains(name) &&
                !split_transport_name(name))
                names.insert(name);
    return names;
}

void warn_unused(const Options& options, const Config& config, const MasterCf& master)
{
    for (const UnknownName& unknown : config.unknown_names(master.services))
        if (unknown.setting.line > 0)
            log::warn(fmt::format("{}: unused parameter: {}={}", options.main_cf(), unknown.name,
                                  printable(unknown.setting.value, true)));
}

Result<Config> read_config(const Options& options)
{
    if (options.defaults)
        return Config::from(MainCf(), options.config_directory, options.overrides, "postconf");
    return Config::load(options.config_directory, options.overrides, "postconf");
}

Result<> show_main(const Options& options)
{
    TRY(const Config config, read_config(options));
    if (!options.arguments.empty()) {
        for (const std::string& name : options.arguments) {
            if (!config.raw(name))
                log::warn(fmt::format("{}: unknown parameter", printable(name)));
            else if (!options.only_set || config.has_user_setting(name))
                print_pair(options, name, shown_value(config, options, name));
        }
        return {};
    }
    const MasterCf master = services_of(options, config);
    TRY(const std::set<std::string> names, all_names(options, config, master));
    for (const std::string& name : names)
        if (!options.only_set || config.has_user_setting(name))
            print_pair(options, name, shown_value(config, options, name));
    if (!options.defaults)
        warn_unused(options, config, master);
    return {};
}

FileEdit::Kind edit_kind(Action action)
{
    switch (action) {
    case Action::remove:
        return FileEdit::Kind::remove;
    case Action::comment_out:
        return FileEdit::Kind::comment_out;
    default:
        return FileEdit::Kind::replace;
    }
}

Result<> edit_main(const Options& options)
{
    std::vector<FileEdit> edits;
    for (const std::string& argument : options.arguments) {
        FileEdit edit{argument, edit_kind(options.action), {}};
        if (options.action == Action::edit) {
            const auto assignment = parse_assignment(argument);
            if (!assignment)
                return fault(assignment.error().context);
            edit.key = assignment->first;
            edit.text = fmt::format("{} = {}", assignment->first, assignment->second);
            if (edit.key.starts_with('#'))
                return fault("parameter name begins with #");
        } else if (argument.find('=') != argument.npos) {
            return fault(fmt::format("-X and -# take names only: \"{}\"", printable(argument)));
        }
        edits.push_back(std::move(edit));
    }
    TRY(const std::string text, read_file(options.main_cf(), MainCf::size_limit));
    return replace_file(options.main_cf(), edit_text(text, main_cf_key, edits));
}

// ---- master.cf

// "smtp", "smtp/inet", "*/unix"; more parts are matched by the caller.
bool matches(const ServiceEntry& service, const std::vector<std::string>& pattern)
{
    const auto fits = [&](std::size_t i, std::string_view text) {
        return pattern.size() <= i || pattern[i] == "*" || pattern[i] == text;
    };
    return fits(0, service.name) && fits(1, service_type_name(service.type));
}

std::vector<std::string> pattern_of(std::string_view argument)
{
    std::vector<std::string> parts;
    for (const std::string_view part : split(argument, "/"))
        parts.emplace_back(part);
    return parts;
}

// The written words, an option and its value together.
std::vector<std::string> argument_groups(const ServiceEntry& service)
{
    std::vector<std::string> groups;
    for (std::size_t i = 0; i < service.written_arguments.size(); ++i) {
        std::string group = service.written_arguments[i];
        if (group == "-o" && i + 1 < service.written_arguments.size())
            group += " " + service.written_arguments[++i];
        groups.push_back(std::move(group));
    }
    return groups;
}

std::string service_line(const ServiceEntry& service, bool fold)
{
    const auto& c = service.columns;
    std::string line = fmt::format("{:<10} {:<5} {:<7} {:<7} {:<7} {:<7} {:<7} {}", c[0], c[1], c[2], c[3],
                                   c[4], c[5], c[6], c[7]);
    bool in_options = true;
    for (const std::string& group : argument_groups(service)) {
        const bool is_option = in_options && group.starts_with('-');
        const bool first_plain = in_options && !is_option;
        in_options = is_option;
        line += fold && (is_option || first_plain) ? "\n    " : " ";
        line += group;
    }
    return line;
}

constexpr std::array<std::string_view, 8> field_names{"service", "type",   "private",       "unprivileged",
                                                      "chroot",  "wakeup", "process_limit", "command"};

std::string field_value(const ServiceEntry& service, std::size_t field)
{
    std::string value = service.columns[field];
    if (field == 7)
        for (const std::string& group : argument_groups(service))
            value += " " + group;
    return value;
}

void show_service(const Options& options, const ServiceEntry& service,
                  const std::vector<std::string>& pattern)
{
    const std::string_view detail = pattern.size() > 2 ? std::string_view(pattern[2]) : "*";
    if (options.mode == Mode::services) {
        fmt::print("{}\n", service_line(service, options.fold));
    } else if (options.mode == Mode::fields) {
        for (std::size_t i = 0; i < field_names.size(); ++i)
            if (detail == "*" || detail == field_names[i])
                print_pair(options, fmt::format("{}/{}", service.identity(), field_names[i]),
                           field_value(service, i));
    } else {
        for (const std::string& assignment : service.overrides) {
            const auto equals = assignment.find('=');
            if (detail == "*" || detail == assignment.substr(0, equals))
                print_pair(options, fmt::format("{}/{}", service.identity(), assignment.substr(0, equals)),
                           assignment.substr(equals + 1));
        }
    }
}

// The level decides nothing that is printed here, so a broken main.cf does not matter.
Result<MasterCf> read_services(const Options& options)
{
    TRY(MasterCf master, MasterCf::read(options.master_cf(), CompatibilityLevel{}));
    for (const std::string& warning : master.warnings)
        log::warn(warning);
    return master;
}

Result<> show_services(const Options& options)
{
    TRY(const MasterCf master, read_services(options));
    std::vector<std::string> patterns = options.arguments;
    if (patterns.empty())
        patterns.emplace_back("*");
    for (const std::string& argument : patterns) {
        const auto pattern = pattern_of(argument);
        bool matched = false;
        for (const ServiceEntry& service : master.services) {
            if (!matches(service, pattern))
                continue;
            matched = true;
            show_service(options, service, pattern);
        }
        if (!matched && !options.arguments.empty())
            log::warn(fmt::format("unmatched request: \"{}\"", printable(argument)));
    }
    return {};
}

// Puts, replaces or takes out one -o of a service.
void edit_override(ServiceEntry& service, std::string_view name, const std::string* value)
{
    auto& words = service.written_arguments;
    const auto names_it = [&](std::string_view word) {
        const auto assignment = parse_assignment(without_braces(word));
        return assignment && assignment->first == name;
    };
    const std::string written = value == nullptr || value->find_first_of(" \t") == std::string::npos
                                    ? fmt::format("{}={}", name, value ? *value : "")
                                    : fmt::format("{{ {} = {} }}", name, *value);
    std::size_t options_end = 0;
    bool done = false;
    for (std::size_t i = 0; i < words.size() && words[i].starts_with('-');) {
        const bool separate = words[i] == "-o" && i + 1 < words.size();
        const std::size_t size = separate ? 2 : 1;
        const std::string_view assignment =
            separate ? std::string_view(words[i + 1]) : std::string_view(words[i]).substr(2);
        if (!words[i].starts_with("-o") || !names_it(assignment)) {
            i += size;
            options_end = i;
            continue;
        }
        const auto at = words.begin() + static_cast<std::ptrdiff_t>(i);
        const auto next = words.erase(at, at + static_cast<std::ptrdiff_t>(size));
        if (value != nullptr && !done) {
            words.insert(next, {"-o", written});
            i += 2;
            done = true;
        }
        options_end = i;
    }
    if (value != nullptr && !done)
        words.insert(words.begin() + static_cast<std::ptrdiff_t>(options_end), {"-o", written});
}

Result<> edit_field(ServiceEntry& service, std::string_view field, const std::string& value)
{
    const auto it = std::ranges::find(field_names, field);
    if (it == field_names.end())
        return fault(fmt::format("unknown service field: \"{}\"", printable(field)));
    if (*it == "command") {
        const auto space = value.find_first_of(" \t");
        service.columns[7] = value.substr(0, space);
        service.written_arguments.clear();
        if (space != value.npos)
            service.written_arguments.push_back(std::string(trim(value.substr(space))));
    } else {
        service.columns[static_cast<std::size_t>(it - field_names.begin())] = value;
    }
    return {};
}

// One argument of -M, -F or -P into the edits of the services that it matches.
Result<std::vector<FileEdit>> service_edits(const Options& options, MasterCf& master,
                                            const std::string& argument)
{
    const bool assigns = options.action == Action::edit;
    const auto equals = argument.find('=');
    if (assigns != (equals != argument.npos))
        return fault(
            fmt::format("{} '=' in \"{}\"", assigns ? "missing" : "unexpected", printable(argument)));
    const auto pattern = pattern_of(trim(std::string_view(argument).substr(0, equals)));
    const std::string value(assigns ? trim(std::string_view(argument).substr(equals + 1))
                                    : std::string_view());
    const std::size_t parts = options.mode == Mode::services ? 2 : 3;
    if (pattern.size() != parts)
        return fault(fmt::format("want {} in \"{}\"",
                                 parts == 2 ? "service-name/service-type" : "service-name/service-type/name",
                                 printable(argument)));

    if (options.mode == Mode::services && assigns) {
        // The whole entry; it may be a new one.
        const auto entry = MasterCf::parse(value, options.master_cf(), CompatibilityLevel{});
        if (!entry || entry->services.size() != 1)
            return fault(entry ? "want one service in the value" : entry.error().context);
        if (!matches(entry->services[0], pattern))
            return fault(fmt::format("service name and type differ: \"{}\"", printable(argument)));
        return std::vector<FileEdit>{
            {pattern[0] + "/" + pattern[1], FileEdit::Kind::replace, service_line(entry->services[0], true)}};
    }
    std::vector<FileEdit> edits;
    for (ServiceEntry& service : master.services) {
        if (!matches(service, pattern))
            continue;
        const std::string key = service.identity();
        if (options.mode == Mode::services) {
            edits.push_back({key, edit_kind(options.action), {}});
            continue;
        }
        if (options.action == Action::comment_out)
            return fault("-# works with main.cf and with -M");
        if (options.mode == Mode::service_parameters)
            edit_override(service, pattern[2], assigns ? &value : nullptr);
        else if (!assigns)
            return fault("-X does not work with -F");
        else
            TRY_VOID(edit_field(service, pattern[2], value));
        const std::string line = service_line(service, true);
        if (const auto check = MasterCf::parse(line, options.master_cf(), CompatibilityLevel{}); !check)
            return fault(check.error().context);
        edits.push_back({key, FileEdit::Kind::replace, line});
    }
    if (edits.empty())
        log::warn(fmt::format("unmatched request: \"{}\"", printable(argument)));
    return edits;
}

Result<> edit_services(const Options& options)
{
    TRY(MasterCf master, read_services(options));
    std::vector<FileEdit> edits;
    for (const std::string& argument : options.arguments) {
        TRY(std::vector<FileEdit> more, service_edits(options, master, argument));
        edits.insert(edits.end(), more.begin(), more.end());
    }
    TRY(const std::string text, read_file(options.master_cf(), MasterCf::size_limit));
    return replace_file(options.master_cf(), edit_text(text, master_cf_key, edits));
}

Result<> run(int argc, char** argv)
{
    TRY(const Options options, parse_options(argc, argv));
    if (!options.words.empty()) {
        for (const std::string_view word : split(options.words, " "))
            fmt::print("{}\n", word);
        return {};
    }
    if (options.action == Action::show)
        return options.mode == Mode::main ? show_main(options) : show_services(options);
    if (options.arguments.empty())
        return fault("nothing to edit");
    return options.mode == Mode::main ? edit_main(options) : edit_services(options);
}

} // namespace

int main(int argc, char** argv)
{
    log::set_tag("postconf");
    auto result = run(argc, argv);
    if (result && std::fflush(stdout) != 0)
        result = system_error("write to standard output");
    if (!result)
        log::fatal(result.error().context);
    log::flush(true);
    return result ? 0 : 1;
}
