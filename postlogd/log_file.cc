#include "log_file.h"

#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

namespace bulkhead
{

namespace
{

// How long a turn waits for a reader of standard output that does not keep up.
constexpr int patience_ms = 100;

std::string_view text_of(const iovec& piece)
{
    return {static_cast<const char*>(piece.iov_base), piece.iov_len};
}

// Takes what was written off the front; the last byte of it.
char advance(std::span<iovec>& pieces, std::size_t written)
{
    char last = '\n';
    while (written > 0 && !pieces.empty()) {
        iovec& piece = pieces.front();
        const std::size_t part = std::min(written, piece.iov_len);
        last = text_of(piece)[part - 1];
        piece.iov_base = static_cast<char*>(piece.iov_base) + part;
        piece.iov_len -= part;
        written -= part;
        if (piece.iov_len == 0)
            pieces = pieces.subspan(1);
    }
    return last;
}

} // namespace

Result<LogFile> LogFile::open(const std::string& path)
{
    LogFile file;
    if (path == "/dev/stdout") {
        // A description of our own, so that not waiting for its reader is our affair
        // alone; a socket cannot be opened again and is used as it is.
        file.fd_.reset(::open("/proc/self/fd/1", O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
        if (!file.fd_)
            file.fd_.reset(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3));
    } else {
        file.fd_.reset(::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY));
    }
    if (!file.fd_)
        return system_error("open maillog_file " + path);
    return file;
}

bool LogFile::append(std::span<iovec> pieces)
{
    if (!fd_)
        return give_up(pieces, 0);
    if (torn_) {
        const ssize_t written = ::write(fd_.get(), "\n", 1);
        if (written != 1)
            return give_up(pieces, errno);
        torn_ = false;
    }
    bool waited = false;
    while (!pieces.empty()) {
        const ssize_t written = ::writev(fd_.get(), pieces.data(), static_cast<int>(pieces.size()));
        if (written > 0) {
            torn_ = advance(pieces, static_cast<std::size_t>(written)) != '\n';
            continue;
        }
        const int number = errno;
        if (number == EINTR)
            continue;
        if (number != EAGAIN || waited)
            return give_up(pieces, number);
        pollfd wait{fd_.get(), POLLOUT, 0};
        (void)::poll(&wait, 1, patience_ms);
        waited = true;
    }
    return true;
}

bool LogFile::give_up(std::span<const iovec> rest, int number)
{
    for (const iovec& piece : rest) {
        const std::string_view text = text_of(piece);
        lost_ += static_cast<std::uint64_t>(std::ranges::count(text, '\n'));
    }
    if (number != 0)
        reason_ = std::strerror(number);
    return false;
}

std::uint64_t LogFile::take_lost()
{
    return std::exchange(lost_, 0);
}

} // namespace bulkhead
