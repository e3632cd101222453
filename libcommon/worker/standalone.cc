#include "worker/standalone.h"

#include "os/files.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bulkhead
{

static pid_t copier = -1;

// stdin to the socket until it ends, the socket to stdout until it ends.
[[noreturn]] static void copy_both_ways(int socket)
{
    char block[16384];
    pollfd watched[2] = {{STDIN_FILENO, POLLIN, 0}, {socket, POLLIN, 0}};
    for (;;) {
        if (::poll(watched, 2, -1) < 0)
            continue;
        if (watched[0].revents) {
            const ssize_t n = ::read(STDIN_FILENO, block, sizeof block);
            if (n > 0)
                (void)write_all(socket, {block, static_cast<std::size_t>(n)});
            else {
                ::shutdown(socket, SHUT_WR);
                watched[0].fd = -1;
            }
        }
        if (watched[1].revents) {
            const ssize_t n = ::read(socket, block, sizeof block);
            if (n <= 0)
                ::_exit(0);
            (void)write_all(STDOUT_FILENO, {block, static_cast<std::size_t>(n)});
        }
    }
}

Result<int> standalone_socket()
{
    int pair[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return system_error("socketpair");
    copier = ::fork();
    if (copier < 0)
        return system_error("fork");
    if (copier == 0) {
        ::close(pair[0]);
        copy_both_ways(pair[1]);
    }
    ::close(pair[1]);
    TRY_VOID(set_nonblocking(pair[0]));
    return pair[0];
}

void wait_for_standalone_copier()
{
    if (copier > 0)
        ::waitpid(copier, nullptr, 0);
}

} // namespace bulkhead
