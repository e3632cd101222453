#include "worker_question.h"

#include "base/unique_fd.h"
#include "config/install_paths.h"
#include "ipc/explain.h"
#include "os/files.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr unsigned longest_answer = 30; // seconds; a server of tables may be slow

struct Pipe {
    UniqueFd out;
    UniqueFd in;
};

Result<Pipe> make_pipe()
{
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0)
        return system_error("pipe");
    return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

[[noreturn]] void become_worker(const std::vector<std::string>& words, const std::string& directory, int in,
                                int out)
{
    std::vector<char*> pointers;
    for (const std::string& word : words)
        pointers.push_back(const_cast<char*>(word.c_str()));
    pointers.push_back(nullptr);
    ::setenv("MAIL_CONFIG", directory.c_str(), 1);
    ::dup2(in, STDIN_FILENO);
    ::dup2(out, STDOUT_FILENO);
    ::alarm(longest_answer);
    ::execv(pointers[0], pointers.data());
    ::_exit(127);
}

} // namespace

Result<ipc::Message> ask_worker(const EnvironmentConfig& environment, const ServiceEntry& service,
                                const ipc::Message& question)
{
    std::vector<std::string> words{install_paths().daemon_directory + "/" + service.command, "-E", "-n",
                                   service.name};
    for (const std::string& assignment : service.overrides)
        words.insert(words.end(), {"-o", assignment});
    TRY(Pipe to, make_pipe());
    TRY(Pipe from, make_pipe());
    const pid_t child = ::fork();
    if (child < 0)
        return system_error("fork");
    if (child == 0)
        become_worker(words, environment.config_directory, to.out.get(), from.in.get());
    to.out.reset();
    from.in.reset();
    std::string bytes;
    question.encode(bytes);
    const auto written = write_all(to.in.get(), bytes);
    to.in.reset();
    auto answer = ipc::read_message(from.out.get());
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    if (!written || !answer || status != 0)
        return Error{Fault::config, fmt::format("{}: {} gives no answer", service.place(), words.front())};
    if (answer->kind() == ipc::Kind::failed)
        return Error{Fault::broken, std::string(answer->find("reason").value_or("no reason"))};
    return answer;
}

} // namespace bulkhead
