#include "delivery/mbox.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <ctime>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

Error busy(std::string_view what)
{
    return Error{Fault::timeout, fmt::format("mailbox is locked ({})", what), EAGAIN};
}

// NAME.lock beside the mailbox.
class DotLock
{
public:
    DotLock() = default;
    static Result<DotLock> take(int folder, const std::string& name, const MboxOptions& options)
    {
        DotLock lock;
        lock.name_ = name + ".lock";
        for (int attempt = 0; attempt < 2; ++attempt) {
            const UniqueFd fd(::openat(folder, lock.name_.c_str(),
                                       O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
            if (fd) {
                lock.folder_ = folder;
                return lock;
            }
            if (errno != EEXIST)
                break;
            struct stat st{};
            const bool stale = ::fstatat(folder, lock.name_.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                               std::time(nullptr) - st.st_mtime > options.stale_lock.count();
            if (!stale || ::unlinkat(folder, lock.name_.c_str(), 0) != 0)
                return busy("dotlock");
        }
        if (errno == EEXIST)
            return busy("dotlock");
        // In a folder that its owner may not write, the lock on the file has to do.
        if ((errno == EACCES || errno == EROFS) && (options.locks.fcntl || options.locks.flock))
            return DotLock();
        return system_error("create lock file " + lock.name_);
    }
    DotLock(DotLock&& other) noexcept
        : folder_(std::exchange(other.folder_, -1)), name_(std::move(other.name_))
    {
    }
    DotLock& operator=(DotLock&&) = delete;
    ~DotLock()
    {
        if (folder_ >= 0)
            ::unlinkat(folder_, name_.c_str(), 0);
    }

private:
    int folder_ = -1;
    std::string name_;
};

Result<> lock_file(int fd, const MboxLocks& locks)
{
    // A lock of the open file, not of the process: it also keeps our own threads apart,
    // and conflicts with the fcntl locks of mail readers.
    struct flock whole{};
    whole.l_type = F_WRLCK;
    whole.l_whence = SEEK_SET;
    if (locks.fcntl && ::fcntl(fd, F_OFD_SETLK, &whole) != 0)
        return errno == EAGAIN || errno == EACCES ? busy("fcntl") : system_error("lock mailbox");
    if (locks.flock && ::flock(fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? busy("flock") : system_error("lock mailbox");
    return {};
}

Result<struct stat> check_file(int fd, const MailboxOwner& owner, bool strict)
{
    struct stat st{};
    if (::fstat(fd, &st) != 0)
        return system_error("stat mailbox");
    if (!S_ISREG(st.st_mode))
        return Error{Fault::refused, "mailbox is not a regular file", EPERM};
    if (st.st_nlink > 1)
        return Error{Fault::refused, "mailbox has more than one name", EPERM};
    if (strict && st.st_uid != owner.uid)
        return Error{Fault::refused, fmt::format("mailbox is not owned by user {}", owner.uid), EPERM};
    return st;
}

// A mailbox that somebody left without a line end would swallow our From line.
Result<> end_last_line(int fd, std::int64_t size)
{
    char last = '\n';
    if (size > 0 && ::pread(fd, &last, 1, size - 1) != 1)
        return system_error("read mailbox");
    if (last != '\n' && ::write(fd, "\n", 1) != 1)
        return system_error("write mailbox");
    return {};
}

Result<> append(int fd, const struct stat& before, const MessageCopy& message, std::int64_t limit)
{
    TRY_VOID(end_last_line(fd, before.st_size));
    TRY_VOID(message.write_to(fd, CopyForm::mbox(), limit - before.st_size));
    // Reading a byte of it must not look like somebody read his mail.
    const timespec times[2] = {before.st_atim, {0, UTIME_NOW}};
    ::futimens(fd, times);
    if (::fsync(fd) != 0)
        return system_error("write mailbox");
    return {};
}

} // namespace

Result<MboxLocks> MboxLocks::parse(std::span<const std::string> names)
{
    MboxLocks locks;
    for (const std::string& name : names) {
        if (name == "dotlock")
            locks.dotlock = true;
        else if (name == "fcntl")
            locks.fcntl = true;
        else if (name == "flock")
            locks.flock = true;
        else
            return Error{Fault::config, fmt::format("unknown lock type \"{}\"", name)};
    }
    return locks;
}

Result<> deliver_to_mbox(const MailboxPath& path, const MailboxOwner& owner, const MessageCopy& message,
                         const MboxOptions& options)
{
    TRY(const UniqueFd folder, open_folder(path));
    auto dotlock =
        options.locks.dotlock ? DotLock::take(folder.get(), path.file, options) : Result<DotLock>(DotLock());
    if (!dotlock)
        return dotlock.error();
    constexpr int flags = O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    const UniqueFd fd(::openat(folder.get(), path.file.c_str(), flags, 0600));
    if (!fd)
        return errno == ELOOP ? Error{Fault::refused, "mailbox is a symbolic link", ELOOP}
                              : system_error("open mailbox");
    // First of all: a lock on a file that is none of ours would be a nuisance already.
    TRY_VOID(check_file(fd.get(), owner, options.strict_ownership));
    TRY_VOID(lock_file(fd.get(), options.locks));
    TRY(const struct stat before, check_file(fd.get(), owner, options.strict_ownership));
    if (before.st_nlink == 0)
        return busy("it was replaced");

    auto appended = append(fd.get(), before, message, options.limit);
    if (!appended) {
        const bool cut = ::ftruncate(fd.get(), before.st_size) == 0;
        const timespec times[2] = {before.st_atim, before.st_mtim};
        ::futimens(fd.get(), times);
        if (!cut)
            return Error{Fault::io, appended.error().context + "; cannot remove the part that was written",
                         appended.error().number};
        return appended;
    }
    if (before.st_size == 0)
        (void)sync_folder(folder.get()); // may have been created just now
    return {};
}

} // namespace bulkhead
