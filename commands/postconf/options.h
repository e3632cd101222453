// The command line of postconf: which job, how to print, and which options do not go together.
#pragma once

#include "base/result.h"

#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::postconf
{

enum class Job {
    parameters,         // main.cf; the default
    services,           // -M
    fields,             // -F
    service_parameters, // -P
    server_sasl_types,  // -a
    client_sasl_types,  // -A
    lock_types,         // -l
    table_types,        // -m
    expanded_templates, // -b
    templates,          // -t
    tls_fact,           // -T
    coverage,           // --coverage
    help,               // --help
};

enum class Action { show, edit, remove, comment_out };

struct Options {
    Job job = Job::parameters;
    Action action = Action::show;
    std::string config_directory;
    bool names_directory = false; // -c or $MAIL_CONFIG: the folder itself is a setting then
    std::vector<std::string> overrides;
    bool builtin = true; // -C: which classes of parameters
    bool service = true;
    bool user = true;
    bool defaults = false;
    bool only_set = false;
    bool expand = false;
    bool fold = false;
    bool hide_name = false;
    bool hide_value = false;
    bool json = false;
    bool quiet = false; // -q: nothing about deprecated names
    int verbosity = 0;
    std::string tls_fact;
    std::vector<std::string> arguments;

    std::string main_cf() const { return config_directory + "/main.cf"; }
    std::string master_cf() const { return config_directory + "/master.cf"; }
};

// The error's context is what the person gets to read.
Result<Options> parse_options(int argc, char** argv);

// Of --help: every option with a line, with line ends.
std::string_view help_text();

} // namespace bulkhead::postconf
