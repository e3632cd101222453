#include "options.h"

#include "base/text.h"
#include "config/install_paths.h"

#include <fmt/format.h>
#include <getopt.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <iterator>
#include <set>

namespace bulkhead::postconf
{

namespace
{

Error refusal(std::string text)
{
    return {Fault::config, std::move(text)};
}

struct OptionRow {
    char letter;
    Job job; // of a letter that chooses a job
    bool selects_job;
    std::string_view allows; // letters that may stand beside a job
    std::string_view help;
};

// In the order in which conflicts are named.
constexpr std::array<OptionRow, 26> rows{{
    {'a', Job::server_sasl_types, true, "", "list the SASL implementations of the SMTP server"},
    {'A', Job::client_sasl_types, true, "", "list the SASL implementations of the SMTP client"},
    {'b', Job::expanded_templates, true, "",
     "show the texts of notices, expanded; of a file if one is given"},
    {'d', Job::parameters, false, "", "show defaults instead of settings"},
    {'e', Job::parameters, false, "",
     "change settings: name=value, or with -M, -F, -P service/type[/name]=value"},
    {'f', Job::parameters, false, "", "fold long lines"},
    {'F', Job::fields, true, "efhHojx", "show or change fields of master.cf"},
    {'h', Job::parameters, false, "", "show values without names"},
    {'H', Job::parameters, false, "", "show names without values"},
    {'j', Job::parameters, false, "", "show as JSON"},
    {'l', Job::lock_types, true, "", "list the ways to lock mailboxes"},
    {'m', Job::table_types, true, "", "list the types of lookup tables"},
    {'M', Job::services, true, "efojxX#", "show or change services of master.cf"},
    {'n', Job::parameters, false, "", "show only what main.cf sets"},
    {'o', Job::parameters, false, "", "name=value: as if main.cf said so"},
    {'p', Job::parameters, true, "defhHjnoxX#", "show or change parameters of main.cf (the default)"},
    {'P', Job::service_parameters, true, "efhHojxX",
     "show or change parameters (-o) of services in master.cf"},
    {'q', Job::parameters, false, "", "do not warn of deprecated parameters"},
    {'t', Job::templates, true, "", "show the texts of notices as they are written"},
    {'T', Job::tls_fact, true, "", "compile-version, run-version or public-key-algorithms of TLS"},
    {'v', Job::parameters, false, "", "say more"},
    {'x', Job::parameters, false, "", "expand $name in values"},
    {'X', Job::parameters, false, "", "remove settings, services or parameters of services"},
    {'#', Job::parameters, false, "", "comment out settings or services"},
    {'c', Job::parameters, false, "", "the configuration folder"},
    {'C', Job::parameters, false, "", "builtin, service, user, all: only these parameters"},
}};

const OptionRow& row_of(char letter)
{
    return *std::ranges::find(rows, letter, &OptionRow::letter);
}

std::string listed(const std::set<char>& letters)
{
    std::string text;
    for (const OptionRow& row : rows)
        if (letters.contains(row.letter))
            text += fmt::format(" -{}", row.letter);
    return text;
}

// Letters of which only one makes sense at a time; the first group with two of them is named.
constexpr std::array<std::string_view, 5> exclusive_groups{"denX#", "deoX#", "efX#", "exX#", "ehHX#"};

Result<> check_groups(const std::set<char>& given)
{
    for (const std::string_view group : exclusive_groups) {
        std::set<char> found;
        std::ranges::copy_if(group, std::inserter(found, found.end()),
                             [&](char letter) { return given.contains(letter); });
        if (found.size() > 1)
            return refusal("specify one of" + listed(found));
    }
    return {};
}

Result<> check_combination(const std::set<char>& given)
{
    if (given.contains('b') && given.contains('t'))
        return refusal("specify one of -b and -t");
    std::set<char> jobs;
    for (const OptionRow& row : rows)
        if (row.selects_job && given.contains(row.letter))
            jobs.insert(row.letter);
    if (jobs.size() > 1)
        return refusal("specify one of" + listed(jobs));
    TRY_VOID(check_groups(given));
    if (jobs.empty())
        return {};
    std::set<char> refused;
    const char job = *jobs.begin();
    for (const char letter : given)
        if (letter != job && std::string_view("cCqv").find(letter) == std::string_view::npos &&
            row_of(job).allows.find(letter) == std::string_view::npos)
            refused.insert(letter);
    if (!refused.empty())
        return refusal(fmt::format("with option -{}, do not specify{}", job, listed(refused)));
    return {};
}

Result<> choose_classes(Options& options, std::string_view words)
{
    options.builtin = options.service = options.user = false;
    for (const std::string_view word : split(words, ", \t")) {
        const bool all = word == "all";
        if (!all && word != "builtin" && word != "service" && word != "user")
            return refusal(
                fmt::format("unknown -C option value \"{0}\" in \"{1}\"", printable(word), printable(words)));
        options.builtin |= all || word == "builtin";
        options.service |= all || word == "service";
        options.user |= all || word == "user";
    }
    return {};
}

std::string usage()
{
    return "usage: postconf [-aAbdefFhHjlmMnpPqtvxX#] [-c config_dir] [-C class] [-o name=value] "
           "[-T compile-version|run-version|public-key-algorithms] [--coverage] [--help] [name...]";
}

void apply_letter(Options& options, char letter)
{
    switch (letter) {
    case 'd':
        options.defaults = true;
        break;
    case 'e':
        options.action = Action::edit;
        break;
    case 'X':
        options.action = Action::remove;
        break;
    case '#':
        options.action = Action::comment_out;
        break;
    case 'f':
        options.fold = true;
        break;
    case 'h':
        options.hide_name = true;
        break;
    case 'H':
        options.hide_value = true;
        break;
    case 'j':
        options.json = true;
        break;
    case 'n':
        options.only_set = true;
        break;
    case 'q':
        options.quiet = true;
        break;
    case 'v':
        ++options.verbosity;
        break;
    case 'x':
        options.expand = true;
        break;
    default:
        if (row_of(letter).selects_job)
            options.job = row_of(letter).job;
    }
}

Result<> apply_argument(Options& options, char letter, std::string_view argument)
{
    if (letter == 'c') {
        options.config_directory = argument;
        options.names_directory = true;
    } else if (letter == 'C') {
        return choose_classes(options, argument);
    } else if (letter == 'o') {
        options.overrides.emplace_back(argument);
    } else if (letter == 'T') {
        options.tls_fact = argument;
    }
    return {};
}

} // namespace

Result<Options> parse_options(int argc, char** argv)
{
    Options options;
    options.config_directory = default_config_directory();
    options.names_directory = ::getenv("MAIL_CONFIG") != nullptr;
    static const std::array<option, 3> long_options{{
        {"coverage", no_argument, nullptr, 1},
        {"help", no_argument, nullptr, 2},
        {nullptr, 0, nullptr, 0},
    }};
    std::set<char> given;
    ::opterr = 0;
    ::optind = 1;
    // "+": a name that begins with '-' behind the first name is a name, as everywhere.
    for (int option; (option = ::getopt_long(argc, argv, "+aAbc:C:deEfFhHjlmMno:pPqtT:vxX#",
                                             long_options.data(), nullptr)) != -1;) {
        if (option == 1 || option == 2) {
            options.job = option == 1 ? Job::coverage : Job::help;
            options.arguments.clear();
            return options;
        }
        const char letter = static_cast<char>(option);
        if (std::ranges::find(rows, letter, &OptionRow::letter) == rows.end())
            return refusal(usage());
        given.insert(letter);
        apply_letter(options, letter);
        if (::optarg != nullptr)
            TRY_VOID(apply_argument(options, letter, ::optarg));
    }
    options.arguments.assign(argv + ::optind, argv + argc);
    // "postconf name=value" edits without -e.
    const bool edits_something = options.job <= Job::service_parameters;
    if (edits_something && !options.arguments.empty() &&
        options.arguments.front().find('=') != std::string::npos)
        given.insert('e');
    TRY_VOID(check_combination(given));
    if (given.contains('e'))
        options.action = Action::edit;
    return options;
}

std::string_view help_text()
{
    static const std::string text = [] {
        std::string lines =
            "usage: postconf [options] [name...]\n       postconf [options] name=value...\n\n";
        for (const OptionRow& row : rows) {
            const std::string_view value = row.letter == 'c'   ? " FOLDER"
                                           : row.letter == 'C' ? " CLASS"
                                           : row.letter == 'o' ? " NAME=VALUE"
                                           : row.letter == 'T' ? " FACT"
                                                               : "";
            lines += fmt::format("  {:<16} {}\n", fmt::format("-{}{}", row.letter, value), row.help);
        }
        lines +=
            fmt::format("  {:<16} {}\n", "--coverage", "which parameters are in effect, by area and tier");
        lines += fmt::format("  {:<16} {}\n", "--help", "this list");
        return lines;
    }();
    return text;
}

} // namespace bulkhead::postconf
