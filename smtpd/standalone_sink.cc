#include "standalone_sink.h"

#include "base/text.h"
#include "os/files.h"
#include "spool/queue_id.h"

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <utility>

namespace bulkhead
{

namespace
{

constexpr std::size_t answer_limit = 16 * 1024;
constexpr Milliseconds answer_time{60'000};

[[noreturn]] void become_postdrop(int socket, const std::string& program)
{
    ::dup2(socket, STDIN_FILENO);
    ::dup2(socket, STDOUT_FILENO);
    ::execl(program.c_str(), "postdrop", "-r", static_cast<char*>(nullptr));
    ::_exit(127);
}

} // namespace

std::string_view find_postdrop_answer(std::string_view answers, std::string_view name)
{
    for (std::size_t at = answers.find(name); at != std::string_view::npos; at = answers.find(name, at + 1)) {
        const bool starts = at == 0 || answers[at - 1] == '\0' || answers[at - 1] == '\n';
        const std::string_view rest = answers.substr(at + name.size());
        if (!starts || rest.empty() || (rest.front() != '\0' && rest.front() != '='))
            continue;
        const char ending = rest.front() == '=' ? '\n' : '\0';
        const std::size_t end = rest.find(ending, 1);
        return end == std::string_view::npos ? std::string_view() : rest.substr(1, end - 1);
    }
    return {};
}

Task<Result<std::unique_ptr<MessageSink>>> PostdropSink::open(std::string command_directory)
{
    const std::string program = command_directory + "/postdrop";
    int pair[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        co_return system_error("socketpair");
    UniqueFd ours(pair[0]);
    UniqueFd theirs(pair[1]);
    const auto waits = set_nonblocking(ours.get());
    if (!waits)
        co_return waits.error();
    const pid_t child = ::fork();
    if (child < 0)
        co_return system_error("fork");
    if (child == 0)
        become_postdrop(theirs.get(), program);
    theirs.reset(); // its end of the connection is seen only when nobody else has it

    std::unique_ptr<PostdropSink> sink(new PostdropSink(std::move(ours), child));
    sink->stream_.set_timeout(answer_time);
    while (sink->queue_id_.empty()) {
        const auto more = co_await sink->stream_.fill();
        if (!more || sink->stream_.buffered().size() > answer_limit)
            co_return Error(Fault::broken, program + " does not take mail");
        const std::string_view id = find_postdrop_answer(sink->stream_.buffered(), "queue_id");
        if (!id.empty() && !QueueId::is_valid(id))
            co_return Error(Fault::malformed, program + " gave a bad queue id");
        sink->queue_id_ = id;
    }
    std::unique_ptr<MessageSink> opened = std::move(sink);
    co_return std::move(opened);
}

PostdropSink::~PostdropSink()
{
    if (child_ <= 0)
        return;
    stream_.close(); // before the end record: postdrop drops what it has
    (void)reap();
}

// The exit status; -1 when the process was killed.
int PostdropSink::reap()
{
    int status = 0;
    const pid_t child = std::exchange(child_, -1);
    if (::waitpid(child, &status, 0) != child || !WIFEXITED(status))
        return -1;
    return WEXITSTATUS(status);
}

Task<Result<>> PostdropSink::send_some()
{
    if (!wants_sending())
        co_return Result<>();
    stream_.write(records_);
    records_.clear();
    co_return co_await stream_.flush();
}

Task<Result<ipc::CleanupResult>> PostdropSink::finish(unsigned)
{
    stream_.write(records_);
    records_.clear();
    CO_TRY_VOID(co_await stream_.flush());
    ::shutdown(stream_.fd(), SHUT_WR);
    bool open = true;
    while (open && stream_.buffered().size() < answer_limit) {
        const auto more = co_await stream_.fill();
        open = static_cast<bool>(more);
    }
    const auto told = parse_unsigned(find_postdrop_answer(stream_.buffered(), "status"));
    const int exit_status = reap();
    if (exit_status < 0)
        co_return Error(Fault::broken, "postdrop was killed");
    ipc::CleanupResult result;
    result.status = static_cast<unsigned>(exit_status);
    if (told)
        result.status |= static_cast<unsigned>(*told);
    co_return result;
}

} // namespace bulkhead
