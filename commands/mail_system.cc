#include "mail_system.h"

#include "config/config.h"
#include "config/install_paths.h"
#include "control_client.h"
#include "log/log.h"

#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include <fmt/format.h>

namespace bulkhead
{

Result<MailSystem> open_mail_system(const Request& request)
{
    TRY(const Config config, Config::load(request.directory, {}, "bulkhead"));
    MailSystem system;
    system.directory = request.directory;
    system.queue_directory = config.queue_directory();
    system.product = fmt::format("the {} mail system", config.get("mail_name"));
    system.log = MaillogSettings::from(config);
    system.rotate_suffix = config.raw("maillog_file_rotate_suffix").value_or("");
    system.compressor = config.get("maillog_file_compressor");
    TRY(const std::int64_t drain_time, config.get_seconds("shutdown_drain_time"));
    system.drain_time = Seconds(drain_time);
    // Standard output is the master's in the foreground; other commands have a person to tell.
    if (system.log.file == "/dev/stdout")
        log::open({}, "postfix-script", system.log.host);
    else if (const auto opened = open_maillog(system.log, "postfix-script", false, true); !opened)
        log::warn(opened.error().context);
    return system;
}

std::string absolute(const std::string& directory)
{
    std::string path = directory;
    if (!path.starts_with('/')) {
        const std::unique_ptr<char, decltype(&std::free)> here(::getcwd(nullptr, 0), std::free);
        path = fmt::format("{}/{}", here ? here.get() : "", path);
    }
    while (path.size() > 1 && path.ends_with('/'))
        path.pop_back();
    return path;
}

int fail(std::string_view text)
{
    log::fatal(text);
    log::flush(true);
    return 1;
}

void announce(std::string_view text)
{
    log::info(text);
    log::flush(true);
}

std::vector<std::string> master_command(const Request& request, const char* mode)
{
    std::vector<std::string> words{install_paths().daemon_directory + "/master", "-c", request.directory,
                                   mode};
    for (int i = 0; i < request.verbosity; ++i)
        words.emplace_back("-v");
    return words;
}

[[noreturn]] void execute(const std::vector<std::string>& words)
{
    std::vector<char*> pointers;
    for (const std::string& word : words)
        pointers.push_back(const_cast<char*>(word.c_str()));
    pointers.push_back(nullptr);
    ::execvp(pointers[0], pointers.data());
    fmt::print(stderr, "bulkhead: fatal: {}\n", system_error("exec " + words[0]).context);
    std::_Exit(EX_OSFILE);
}

int run_and_wait(const std::vector<std::string>& words)
{
    const pid_t child = ::fork();
    if (child < 0)
        return EX_OSERR;
    if (child == 0)
        execute(words);
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EX_SOFTWARE;
}

bool is_running(const MailSystem& system)
{
    for (int tries = 50; tries > 0 && running_master(system.queue_directory); --tries) {
        if (ask_master(system.queue_directory, "status"))
            return true;
        ::usleep(20'000);
    }
    return running_master(system.queue_directory).has_value();
}

} // namespace bulkhead
