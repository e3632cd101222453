#include "delivery/maildir.h"

#include "base/clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr int name_attempts = 100;

// A file in tmp/ that disappears unless it was moved.
class TemporaryFile
{
public:
    static Result<TemporaryFile> create(int folder, const std::string& host)
    {
        static std::atomic<unsigned> counter{0};
        for (int attempt = 0; attempt < name_attempts; ++attempt) {
            const WallTime now = WallTime::now();
            const std::string name =
                fmt::format("{}.M{}P{}Q{}.{}", now.seconds, now.microseconds, ::getpid(), ++counter, host);
            UniqueFd fd(
                ::openat(folder, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
            if (fd)
                return TemporaryFile(folder, name, std::move(fd));
            if (errno != EEXIST)
                break;
        }
        return system_error("create maildir file");
    }
    TemporaryFile(TemporaryFile&& other) noexcept
        : folder_(other.folder_), name_(std::move(other.name_)), fd_(std::move(other.fd_))
    {
        other.name_.clear();
    }
    TemporaryFile& operator=(TemporaryFile&&) = delete;
    ~TemporaryFile()
    {
        if (!name_.empty())
            ::unlinkat(folder_, name_.c_str(), 0);
    }

    int fd() const { return fd_.get(); }

    // Never over another file: false when there is one of that name.
    Result<bool> move_to(int folder, const std::string& name)
    {
        if (::renameat2(folder_, name_.c_str(), folder, name.c_str(), RENAME_NOREPLACE) == 0) {
            name_.clear();
            return true;
        }
        // Some file systems cannot refuse to replace; a link never replaces.
        if ((errno == EINVAL || errno == ENOSYS) &&
            ::linkat(folder_, name_.c_str(), folder, name.c_str(), 0) == 0)
            return true;
        if (errno == EEXIST)
            return false;
        return system_error("rename maildir file");
    }

private:
    TemporaryFile(int folder, std::string name, UniqueFd fd)
        : folder_(folder), name_(std::move(name)), fd_(std::move(fd))
    {
    }

    int folder_;
    std::string name_;
    UniqueFd fd_;
};

Result<UniqueFd> open_part(int maildir, const std::string& name, const MailboxOwner& owner, bool strict)
{
    TRY(UniqueFd part, open_or_make_folder(maildir, name));
    struct stat st{};
    if (::fstat(part.get(), &st) != 0)
        return system_error("stat folder " + name);
    if (strict && st.st_uid != owner.uid)
        return Error{Fault::refused, fmt::format("folder {} is not owned by user {}", name, owner.uid),
                     EPERM};
    return part;
}

Result<std::string> move_in(TemporaryFile& file, int folder, const std::string& host)
{
    struct stat st{};
    if (::fstat(file.fd(), &st) != 0)
        return system_error("stat maildir file");
    for (int attempt = 0; attempt < name_attempts; ++attempt) {
        const WallTime now = WallTime::now();
        std::string name =
            fmt::format("{}.V{:x}I{:x}M{}.{}", now.seconds, st.st_dev, st.st_ino, now.microseconds, host);
        TRY(const bool moved, file.move_to(folder, name));
        if (moved)
            return name;
    }
    return Error{Fault::io, "no free name in the maildir", EEXIST};
}

} // namespace

Result<std::string> deliver_to_maildir(const MailboxPath& path, const MailboxOwner& owner,
                                       const MessageCopy& message, const MaildirOptions& options)
{
    std::string host = options.host;
    std::ranges::replace_if(host, [](char c) { return c == '/' || c == ':' || c == '\0'; }, '_');
    TRY(const UniqueFd maildir, open_folder(path));
    TRY(const UniqueFd tmp_folder, open_part(maildir.get(), "tmp", owner, options.strict_ownership));
    TRY(const UniqueFd new_folder, open_part(maildir.get(), "new", owner, options.strict_ownership));
    TRY(const UniqueFd cur_folder, open_part(maildir.get(), "cur", owner, options.strict_ownership));

    TRY(TemporaryFile file, TemporaryFile::create(tmp_folder.get(), host));
    TRY_VOID(message.write_to(file.fd(), CopyForm::maildir(), options.room));
    if (::fsync(file.fd()) != 0)
        return system_error("write message");
    TRY(std::string name, move_in(file, new_folder.get(), host));
    TRY_VOID(sync_folder(new_folder.get()));
    return name;
}

} // namespace bulkhead
