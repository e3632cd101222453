#include "postdrop_client.h"

#include "base/text.h"
#include "os/files.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <utility>

namespace bulkhead
{

static constexpr std::size_t answer_limit = 64 * 1024;
static constexpr int cannot_execute = 127;

static Result<std::pair<UniqueFd, UniqueFd>> make_pipe()
{
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0)
        return system_error("pipe");
    return std::pair(UniqueFd(ends[0]), UniqueFd(ends[1]));
}

[[noreturn]] static void become_postdrop(const std::string& program,
                                         const std::optional<std::string>& directory)
{
    if (directory)
        ::execl(program.c_str(), "postdrop", "-r", "-c", directory->c_str(), nullptr);
    else
        ::execl(program.c_str(), "postdrop", "-r", nullptr);
    ::_exit(cannot_execute);
}

Result<PostdropClient> PostdropClient::start(const std::string& program,
                                             const std::optional<std::string>& directory)
{
    if (::access(program.c_str(), X_OK) != 0)
        return system_error(program);
    TRY(auto input, make_pipe());
    TRY(auto output, make_pipe());
    PostdropClient client;
    client.pid_ = ::fork();
    if (client.pid_ < 0)
        return system_error("fork");
    if (client.pid_ == 0) {
        ::dup2(input.first.get(), STDIN_FILENO);
        ::dup2(output.second.get(), STDOUT_FILENO);
        become_postdrop(program, directory);
    }
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
