#include "postdrop_client.h"

#include "base/text.h"
#include "os/files.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <utility>
#include <vector>

namespace bulkhead
{

static constexpr std::size_t answer_limit = 64 * 1024;

static Result<std::pair<UniqueFd, UniqueFd>> make_pipe()
{
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0)
        return system_error("pipe");
    return std::pair(UniqueFd(ends[0]), UniqueFd(ends[1]));
}

// Our memory is not copied for a process that becomes another program at once.
static Result<pid_t> spawn(const std::string& program, const std::vector<const char*>& arguments, int input,
                           int output)
{
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    pid_t pid = 0;
    const int fault = ::posix_spawn(&pid, program.c_str(), &actions, nullptr,
                                    const_cast<char* const*>(arguments.data()), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    if (fault != 0)
        return system_error(program, fault);
    return pid;
}

Result<PostdropClient> PostdropClient::start(const std::string& program,
                                             const std::optional<std::string>& directory)
{
    TRY(auto input, make_pipe());
    TRY(auto output, make_pipe());
    std::vector<const char*> arguments{"postdrop", "-r"};
    if (directory)
        arguments.insert(arguments.end(), {"-c", directory->c_str()});
    arguments.push_back(nullptr);
    PostdropClient client;
    TRY(client.pid_, spawn(program, arguments, input.first.get(), output.second.get()));
    client.in_ = std::move(input.second);
    client.out_ = std::move(output.first);
    return client;
}

Result<> PostdropClient::write(std::string_view records)
{
    return write_all(in_.get(), records);
}

PostdropClient::Answer PostdropClient::finish()
{
    in_.reset();
    std::string text;
    std::array<char, 4096> block;
    while (text.size() <= answer_limit) {
        const ssize_t n = ::read(out_.get(), block.data(), block.size());
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        text.append(block.data(), static_cast<std::size_t>(n));
    }
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR)
        continue;
    Answer answer;
    const std::vector<std::string_view> words = split(text, std::string_view("\0", 1));
    for (std::size_t i = 0; i + 1 < words.size(); ++i) {
        if (words[i] == "status")
            if (const auto number = parse_unsigned(words[i + 1]))
                answer.status = static_cast<unsigned>(*number);
        if (words[i] == "reason")
            answer.reason = printable(words[i + 1], true);
    }
    return answer;
}

} // namespace bulkhead
