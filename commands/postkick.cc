// postkick: writes a notification to a service's socket, for scripts:
// "postkick public qmgr I" makes the queue manager look at new mail.
#include "command.h"
#include "frame_client.h"

#include <cstdio>

#include <fmt/format.h>

namespace bulkhead
{

static constexpr std::string_view usage_text = "usage: postkick [-c config_dir] [-v] class service request";

static constexpr std::string_view help_text = R"(postkick: notifies a service of the mail system.

  postkick [-v] [-c DIR] CLASS SERVICE REQUEST

CLASS is public or private, REQUEST one or more letters: for pickup W, for qmgr
W or I (new mail), D (deferred mail), A (whatever their times say), F (forget which
destinations do not answer).

Exit codes: 0; 1 the mail system is down, wrong usage.
)";

static bool is_name(std::string_view text)
{
    return !text.empty() && text.front() != '.' && text.find('/') == std::string_view::npos;
}

static int run(int argc, char** argv)
{
    const Command command("postkick");
    if (argc == 2 && std::string_view(argv[1]) == "--help") {
        std::fwrite(help_text.data(), 1, help_text.size(), stdout);
        return 0;
    }
    std::optional<std::string> directory;
    ::opterr = 0;
    for (int option = 0; (option = ::getopt(argc, argv, "+c:v")) != -1;) {
        if (option == '?')
            return command.fail(1, usage_text);
        if (option == 'c')
            directory = ::optarg;
    }
    if (argc - ::optind != 3 || !is_name(argv[::optind]) || !is_name(argv[::optind + 1]))
        return command.fail(1, usage_text);
    const auto config = command.load_config(directory);
    if (!config)
        return command.fail(1, config.error().context);
    if (::chdir(config->queue_directory().c_str()) != 0)
        return command.fail(1, system_error("chdir " + config->queue_directory()).context);
    const std::string_view kind = argv[::optind];
    const std::string_view service = argv[::optind + 1];
    const auto sent = notify(fmt::format("{}/{}", kind, service), argv[::optind + 2]);
    if (sent)
        return 0;
    command.say(Severity::warning, sent.error().context);
    command.say(
        Severity::warning,
        fmt::format("Cannot contact class {} service {} - perhaps the mail system is down", kind, service));
    return 1;
}

} // namespace bulkhead

int main(int argc, char** argv)
{
    return bulkhead::run(argc, argv);
}
