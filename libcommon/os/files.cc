#include "os/files.h"

#include "base/text.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>

#include <fmt/format.h>

namespace bulkhead
{

Result<std::string> read_file(const std::string& path, std::size_t limit)
{
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
    if (!fd)
        return system_error("open " + path);
    struct stat st{};
    if (::fstat(fd.get(), &st) != 0)
        return system_error("stat " + path);
    if (S_ISDIR(st.st_mode))
        return Error{Fault::io, path + ": Is a directory", EISDIR};
    std::string bytes;
    char block[16384];
    for (;;) {
        const ssize_t n = ::read(fd.get(), block, sizeof block);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return system_error("read " + path);
        if (n == 0)
            return bytes;
        bytes.append(block, static_cast<std::size_t>(n));
        if (bytes.size() > limit)
            return Error{Fault::limit, fmt::format("{}: larger than {} bytes", path, limit)};
    }
}

Result<UniqueFd> sealed_copy(std::string_view bytes)
{
    UniqueFd fd(::memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!fd)
        return system_error("memfd_create");
    TRY_VOID(write_all(fd.get(), bytes));
    if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0)
        return system_error("seal");
    return fd;
}

Result<std::string> read_descriptor(int fd, std::size_t limit)
{
    std::string bytes;
    char block[16384];
    for (;;) {
        const ssize_t n = ::pread(fd, block, sizeof block, static_cast<off_t>(bytes.size()));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return system_error("read");
        if (n == 0)
            return bytes;
        bytes.append(block, static_cast<std::size_t>(n));
        if (bytes.size() > limit)
            return Error{Fault::limit, fmt::format("larger than {} bytes", limit)};
    }
}

Result<> write_all(int fd, std::string_view bytes)
{
    while (!bytes.empty()) {
        const ssize_t n = ::write(fd, bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return system_error("write");
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return {};
}

Result<> set_nonblocking(int fd, bool on)
{
    const int flags = ::fcntl(fd, F_GETFL);
    if (flags < 0 || ::fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) < 0)
        return system_error("fcntl O_NONBLOCK");
    return {};
}

Result<LockFile> LockFile::acquire(const std::string& path, mode_t mode)
{
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode));
    if (!fd)
        return system_error("open lock file " + path);
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0)
        return LockFile(std::move(fd));
    if (errno != EWOULDBLOCK)
        return system_error("lock " + path);
    const auto holder = read_pid_file(path);
    return Error{Fault::refused, holder ? fmt::format("{} is locked by process {}", path, *holder)
                                        : fmt::format("{} is locked by another process", path)};
}

bool LockFile::is_free(const std::string& path)
{
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    return !fd || ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0;
}

Result<> LockFile::write_pid(pid_t pid)
{
    const std::string line = fmt::format("{:>32}\n", pid);
    if (::ftruncate(fd_.get(), 0) != 0 ||
        ::pwrite(fd_.get(), line.data(), line.size(), 0) != std::ssize(line))
        return system_error("write lock file");
    return {};
}

std::optional<pid_t> read_pid_file(const std::string& path)
{
    const auto bytes = read_file(path, 256);
    if (!bytes)
        return std::nullopt;
    const auto pid = parse_unsigned(trim(*bytes));
    if (!pid || *pid == 0)
        return std::nullopt;
    return static_cast<pid_t>(*pid);
}

static Result<sockaddr_un> unix_address(const std::string& path)
{
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path)
        return Error{Fault::limit, fmt::format("socket path too long: {}", path)};
    std::memcpy(address.sun_path, path.data(), path.size());
    return address;
}

Result<UniqueFd> listen_unix(const std::string& path, int backlog, bool datagram)
{
    TRY(const sockaddr_un address, unix_address(path));
    UniqueFd fd(::socket(AF_UNIX, (datagram ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd)
        return system_error("socket");
    ::unlink(path.c_str());
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return system_error("bind " + path);
    if (::chmod(path.c_str(), 0666) != 0)
        return system_error("chmod " + path);
    if (!datagram && ::listen(fd.get(), backlog) != 0)
        return system_error("listen " + path);
    return fd;
}

Result<UniqueFd> connect_unix(const std::string& path)
{
    TRY(const sockaddr_un address, unix_address(path));
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd)
        return system_error("socket");
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return system_error("connect to " + path);
    return fd;
}

} // namespace bulkhead
