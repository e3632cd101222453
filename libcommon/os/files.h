// Files and sockets as the rest of Bulkhead uses them: whole-file reads, locks
// that live as long as their holder, UNIX and inet sockets.  With os/jail.h the
// only caller of the kernel for these things.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <sys/types.h>

#include <string>
#include <string_view>

namespace bulkhead
{

// The whole file, at most `limit` bytes (a larger one is a Fault::limit).
Result<std::string> read_file(const std::string& path, std::size_t limit = 16 << 20);

// An anonymous file that nobody can change any more.
Result<UniqueFd> sealed_copy(std::string_view bytes);

// All that is in a file from its start, whatever the descriptor's position.
Result<std::string> read_descriptor(int fd, std::size_t limit = 16 << 20);

// Writes all bytes; partial writes are continued.
Result<> write_all(int fd, std::string_view bytes);

Result<> set_nonblocking(int fd, bool on = true);

// An exclusive flock on a file that is created when missing.  The kernel drops
// the lock with the process, so there are no stale locks; the file stays.
class LockFile
{
public:
    // Fault::refused when another process holds the lock; the context names its
    // pid where the file tells it.
    static Result<LockFile> acquire(const std::string& path, mode_t mode);

    // True when nobody holds the lock (a missing file counts as free).
    static bool is_free(const std::string& path);

    // Pid right-aligned in 32 columns and LF, as Postfix's master.pid has it.
    Result<> write_pid(pid_t pid);

    int fd() const { return fd_.get(); }

private:
    explicit LockFile(UniqueFd fd) : fd_(std::move(fd)) {}
    UniqueFd fd_;
};

// The pid in a master.pid file; nullopt if there is none.
std::optional<pid_t> read_pid_file(const std::string& path);

// A listening UNIX socket with mode 0666 (the folder guards it); an existing
// socket of that name is replaced.
Result<UniqueFd> listen_unix(const std::string& path, int backlog, bool datagram = false);

// Connects without blocking the caller for long: UNIX connects answer at once.
Result<UniqueFd> connect_unix(const std::string& path);

} // namespace bulkhead
