#include "spool/io.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

namespace bulkhead
{

Error file_error(std::string_view verb, std::string_view path, int number)
{
    Error error = system_error(fmt::format("{} {}", verb, path), number);
    if (number == ENOENT)
        error.fault = Fault::not_found;
    else if (number == EEXIST)
        error.fault = Fault::refused;
    return error;
}

Result<UniqueFd> open_at(int directory, const std::string& path, int flags, mode_t mode)
{
    // When a file was read is nobody's affair, and would be one more write for each.  For other
    // users' files (maildrop) that is not ours to say.
    int unwatched = O_NOATIME;
    for (;;) {
        const int fd = ::openat(directory, path.c_str(), flags | unwatched | O_CLOEXEC | O_NOFOLLOW, mode);
        if (fd >= 0)
            return UniqueFd(fd);
        if (errno == EPERM && unwatched != 0)
            unwatched = 0;
        else if (errno != EINTR)
            return file_error("open", path);
    }
}

Result<> write_pieces_at(int fd, std::span<const std::string_view> pieces, std::int64_t offset)
{
    std::size_t skip = 0; // bytes of pieces.front() that are written
    while (!pieces.empty()) {
        std::array<iovec, 64> vectors;
        const std::size_t count = std::min(pieces.size(), vectors.size());
        for (std::size_t i = 0; i < count; ++i)
            vectors[i] = {const_cast<char*>(pieces[i].data()), pieces[i].size()};
        vectors[0].iov_base = static_cast<char*>(vectors[0].iov_base) + skip;
        vectors[0].iov_len -= skip;
        const ssize_t written = ::pwritev(fd, vectors.data(), static_cast<int>(count), offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return system_error("write");
        offset += written;
        std::size_t done = skip + static_cast<std::size_t>(written);
        while (!pieces.empty() && done >= pieces.front().size()) {
            done -= pieces.front().size();
            pieces = pieces.subspan(1);
        }
        skip = done;
    }
    return {};
}

Result<std::size_t> read_at(int fd, char* buffer, std::size_t size, std::int64_t offset)
{
    for (;;) {
        // One call is enough: a read of a regular file is short only at its end.
        const ssize_t n = ::pread(fd, buffer, size, offset);
        if (n >= 0)
            return static_cast<std::size_t>(n);
        if (errno != EINTR)
            return system_error("read");
    }
}

// Without RENAME_NOREPLACE (old network file systems) a look before is the best
// that can be had; ids are unique, so this guards against copied files only.
static int rename_without_replacing(int root, const std::string& from, const std::string& to)
{
    if (::renameat2(root, from.c_str(), root, to.c_str(), RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    struct stat st{};
    if (::fstatat(root, to.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0) {
        errno = EEXIST;
        return -1;
    }
    return ::renameat(root, from.c_str(), root, to.c_str());
}

Result<> rename_in_spool(const Spool& spool, const std::string& from, const std::string& to)
{
    if (rename_without_replacing(spool.root_fd(), from, to) == 0)
        return {};
    if (errno == ENOENT && std::ranges::count(to, '/') > 1) {
        TRY_VOID(spool.make_parents(to));
        if (rename_without_replacing(spool.root_fd(), from, to) == 0)
            return {};
    }
    return file_error(fmt::format("rename {} to", from), to);
}

} // namespace bulkhead
