#include "run.h"

#include "config/config.h"
#include "editing.h"
#include "linked_in.h"
#include "listing.h"
#include "log/log.h"
#include "mail/notice_templates.h"
#include "options.h"
#include "os/files.h"
#include "table/table.h"

#include <fmt/format.h>

#include <cstdio>

namespace bulkhead::postconf
{

namespace
{

template <typename Words> Result<> print_words(const Words& words)
{
    for (const auto& word : words)
        fmt::print("{}\n", word);
    return {};
}

Result<> show_templates(const Options& options)
{
    if (options.arguments.size() > 1)
        return Error{Fault::config, "options -b and -t require at most one template file"};
    TRY(const Config config, Config::load(options.config_directory, {}, "postconf"));
    const std::string file =
        options.arguments.empty() ? config.get("bounce_template_file") : options.arguments.front();
    constexpr std::size_t limit = 1 << 20;
    std::string text;
    if (!file.empty()) {
        TRY(text, read_file(file, limit));
    }
    TRY(const BounceTemplates templates, read_templates(text, file));
    std::string shown = written_templates(templates);
    if (options.job == Job::expanded_templates) {
        TRY(shown, expanded_templates(templates, config, file));
    }
    std::fputs(shown.c_str(), stdout);
    return {};
}

Result<> show_tls_fact(const Options& options)
{
    TRY(const std::vector<std::string_view> lines, tls_fact(options.tls_fact));
    return print_words(lines);
}

Result<> perform(const Options& options)
{
    const bool shows = options.action == Action::show;
    switch (options.job) {
    case Job::parameters:
        return shows ? show_parameters(options) : edit_parameters(options);
    case Job::services:
    case Job::fields:
    case Job::service_parameters:
        return shows ? show_services(options) : edit_services(options);
    case Job::server_sasl_types:
        return print_words(server_sasl_types());
    case Job::client_sasl_types:
        return print_words(client_sasl_types());
    case Job::lock_types:
        return print_words(lock_types());
    case Job::table_types:
        return print_words(table_types());
    case Job::expanded_templates:
    case Job::templates:
        return show_templates(options);
    case Job::tls_fact:
        return show_tls_fact(options);
    case Job::coverage:
        show_coverage();
        return {};
    case Job::help:
        std::fputs(std::string(help_text()).c_str(), stdout);
        return {};
    }
    return {};
}

} // namespace

int run(int argc, char** argv)
{
    log::set_tag("postconf");
    Result<> result;
    if (const auto options = parse_options(argc, argv)) {
        log::set_verbosity(options->verbosity);
        result = perform(*options);
    } else {
        result = options.error();
    }
    if (std::fflush(stdout) != 0 && result)
        result = system_error("write to standard output");
    if (!result && result.error().fault == Fault::not_found)
        log::warn(result.error().context); // -T with a word that we do not know
    else if (!result)
        log::fatal(result.error().context);
    log::flush(true);
    return result ? 0 : 1;
}

} // namespace bulkhead::postconf
