#include "environment_command.h"

#include "config/install_paths.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

#include <fmt/format.h>

namespace bulkhead
{

static constexpr std::array inherited{"TZ", "LANG", "LC_ALL", "TERM", "HOME", "MAIL_LOGTAG"};

static constexpr std::array exported{
    "queue_directory", "data_directory",  "mail_owner",      "setgid_group",     "sendmail_path",
    "mailq_path",      "html_directory",  "newaliases_path", "readme_directory", "manpage_directory",
    "meta_directory",  "shlib_directory", "sample_directory"};

static std::vector<std::string> environment_of(const Config& config)
{
    std::vector<std::string> variables{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
    const auto add = [&](std::string_view name, std::string_view value) {
        variables.push_back(fmt::format("{}={}", name, value));
    };
    for (const char* const name : inherited)
        if (const char* const value = std::getenv(name))
            add(name, value);
    for (const char* const name : exported)
        add(name, config.get(name));
    // of this installation, whatever main.cf says: the programs find each other by them
    add("command_directory", install_paths().command_directory);
    add("daemon_directory", install_paths().daemon_directory);
    add("config_directory", config.config_directory());
    add("MAIL_CONFIG", config.config_directory());
    return variables;
}

int become_environment_command(const Config& config, std::span<char*> words)
{
    if (::chdir(config.queue_directory().c_str()) != 0) {
        fmt::print(stderr, "bulkhead: fatal: {}\n",
                   system_error("chdir " + config.queue_directory()).context);
        return 1;
    }
    std::vector<std::string> variables = environment_of(config);
    std::vector<char*> pointers;
    for (std::string& variable : variables)
        pointers.push_back(variable.data());
    pointers.push_back(nullptr);
    std::vector<char*> arguments(words.begin(), words.end());
    arguments.push_back(nullptr);
    // A bare name: a command of ours, else one of the system's.
    const std::string own = fmt::format("{}/{}", install_paths().command_directory, words[0]);
    const bool is_bare = std::string_view(words[0]).find('/') == std::string_view::npos;
    if (is_bare && ::access(own.c_str(), X_OK) == 0)
        ::execve(own.c_str(), arguments.data(), pointers.data());
    else if (is_bare)
        ::execvpe(arguments[0], arguments.data(), pointers.data());
    else
        ::execve(arguments[0], arguments.data(), pointers.data());
    const int number = errno;
    fmt::print(stderr, "bulkhead: fatal: {}\n", system_error(arguments[0], number).context);
    return number == ENOENT ? 127 : 126;
}

} // namespace bulkhead
