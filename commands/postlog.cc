// postlog: writes lines into the mail system's log, for scripts.
#include "base/text.h"
#include "command.h"

#include <array>
#include <cstdio>
#include <iostream>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr std::string_view usage_text =
    "usage: postlog [-c config_dir] [-i] [-p priority] [-t tag] [-v] [text...]";

constexpr std::string_view help_text = R"(postlog: writes to the mail log.

  postlog [-iv] [-c DIR] [-p PRIORITY] [-t TAG] [TEXT...]

The words of TEXT are one line; without them each line of standard input is one.
  -p  info (default), warn, error, fatal or panic
  -t  the tag of the lines instead of syslog_name/postlog
  -i  the process number in the tag (always there)

Exit codes: 0; 1 wrong usage or configuration.
)";

constexpr std::size_t max_line = 64 * 1024;

std::optional<Severity> severity_named(std::string_view name)
{
    struct Row {
        std::string_view name;
        Severity severity;
    };
    static constexpr std::array<Row, 6> rows{{{"info", Severity::info},
                                              {"warn", Severity::warning},
                                              {"warning", Severity::warning},
                                              {"error", Severity::error},
                                              {"fatal", Severity::fatal},
                                              {"panic", Severity::panic}}};
    for (const Row& row : rows)
        if (equals_ignoring_case(row.name, name))
            return row.severity;
    return std::nullopt;
}

struct Request {
    std::optional<std::string> directory;
    std::string tag;
    std::string priority = "info";
    std::string text;
    bool has_text = false;
};

// nullopt: wrong usage.
std::optional<Request> parse(int argc, char** argv)
{
    Request request;
    ::opterr = 0;
    for (int option = 0; (option = ::getopt(argc, argv, "+c:ip:t:v")) != -1;) {
        if (option == 'c')
            request.directory = ::optarg;
        else if (option == 'p')
            request.priority = ::optarg;
        else if (option == 't')
            request.tag = ::optarg;
        else if (option == '?')
            return std::nullopt;
    }
    request.has_text = ::optind < argc;
    for (int i = ::optind; i < argc; ++i)
        request.text += fmt::format("{}{}", i > ::optind ? " " : "", argv[i]);
    return request;
}

void log_line(const Command& command, Severity severity, std::string_view text)
{
    if (::isatty(STDERR_FILENO) == 1)
        command.say(severity, text);
    else
        log::write(severity, text);
}

void log_input(const Command& command, Severity severity)
{
    std::string line;
    while (std::getline(std::cin, line)) {
        line.resize(std::min(line.size(), max_line));
        log_line(command, severity, line);
        log::flush(true);
    }
}

int run(int argc, char** argv)
{
    Command command("postlog");
    if (argc == 2 && std::string_view(argv[1]) == "--help") {
        std::fwrite(help_text.data(), 1, help_text.size(), stdout);
        return 0;
    }
    const auto request = parse(argc, argv);
    if (!request)
        return command.fail(1, usage_text);
    const auto severity = severity_named(request->priority);
    if (!severity)
        return command.fail(1, fmt::format("unknown message priority: {}", request->priority));
    const auto config = command.load_config(request->directory);
    if (!config)
        return command.fail(1, config.error().context);
    command.open_log(*config, request->tag);
    if (request->has_text)
        log_line(command, *severity, request->text);
    else
        log_input(command, *severity);
    log::flush(true);
    return 0;
}

} // namespace

} // namespace bulkhead

int main(int argc, char** argv)
{
    return bulkhead::run(argc, argv);
}
