#include "control_client.h"

#include "base/text.h"
#include "os/files.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <fmt/format.h>

namespace bulkhead
{

static constexpr std::size_t answer_limit = 4 << 20;
static constexpr timeval patience{30, 0};

std::optional<pid_t> running_master(const std::string& queue_directory)
{
    const std::string path = queue_directory + "/pid/master.pid";
    return LockFile::is_free(path) ? std::nullopt : read_pid_file(path);
}

// A master that has its lock but no door yet is still starting.
static Result<UniqueFd> connect_to_master(const std::string& queue_directory)
{
    for (int tries = 100;; --tries) {
        auto fd = connect_unix(queue_directory + "/pid/control");
        const bool not_yet = !fd && (fd.error().number == ENOENT || fd.error().number == ECONNREFUSED);
        if (!not_yet || tries == 0 || !running_master(queue_directory))
            return fd;
        ::usleep(20'000);
    }
}

static Result<std::string> exchange(const std::string& queue_directory, std::string_view request)
{
    TRY(const UniqueFd fd, connect_to_master(queue_directory));
    TRY_VOID(set_nonblocking(fd.get(), false));
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    TRY_VOID(write_all(fd.get(), fmt::format("{}\n", request)));
    std::string answer;
    char block[16384];
    for (;;) {
        const ssize_t n = ::recv(fd.get(), block, sizeof block, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return system_error("read from the master");
        if (n == 0)
            return answer;
        answer.append(block, static_cast<std::size_t>(n));
        if (answer.size() > answer_limit)
            return Error{Fault::limit, "the master's answer is too long"};
    }
}

Result<std::vector<std::string>> ask_master(const std::string& queue_directory, std::string_view request)
{
    TRY(const std::string answer, exchange(queue_directory, request));
    if (answer.starts_with("error "))
        return Error{Fault::refused, std::string(trim(std::string_view(answer).substr(6)))};
    const std::vector<std::string_view> parts = split(answer, "\n");
    if (parts.empty() || parts.front() != "ok")
        return Error{Fault::closed, "the master gave no answer"};
    return std::vector<std::string>(parts.begin() + 1, parts.end());
}

} // namespace bulkhead
