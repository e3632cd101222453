#include "delivery/mailbox_path.h"

#include "base/text.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr mode_t folder_mode = 0700;
constexpr std::size_t max_name = 255; // NAME_MAX

Error folder_error(std::string_view verb, const std::string& name, int number)
{
    const Fault fault = number == ELOOP || number == ENOTDIR ? Fault::refused : Fault::io;
    const Error plain = system_error(fmt::format("{} folder {}", verb, name), number);
    return Error{fault, plain.context, number};
}

Result<UniqueFd> open_step(int parent, const std::string& name)
{
    UniqueFd fd(::openat(parent, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd)
        return folder_error("open", name, errno);
    return fd;
}

} // namespace

Result<MailboxPath> MailboxPath::parse(std::string_view base, std::string_view value)
{
    MailboxPath path;
    path.base = base.empty() ? "/" : std::string(base);
    path.shown = base.empty() ? std::string(value) : fmt::format("{}/{}", base, value);
    if (path.base.front() != '/')
        return Error{Fault::config, "the base folder is not an absolute path"};
    if (base.empty() && !value.starts_with('/'))
        return Error{Fault::config, "the mailbox path is not absolute and there is no base folder"};
    for (const std::string_view name : split(value, "/")) {
        if (name == ".")
            continue;
        if (name == ".." || name.size() > max_name || name.find('\0') != std::string_view::npos)
            return Error{Fault::config, "the mailbox path has a part that is not allowed"};
        path.folders.emplace_back(name);
    }
    if (path.folders.empty())
        return Error{Fault::config, "the mailbox path is empty"};
    if (!value.ends_with('/')) {
        path.file = std::move(path.folders.back());
        path.folders.pop_back();
    }
    return path;
}

Result<UniqueFd> open_or_make_folder(int parent, const std::string& name)
{
    auto folder = open_step(parent, name);
    if (folder || folder.error().number != ENOENT)
        return folder;
    if (::mkdirat(parent, name.c_str(), folder_mode) != 0 && errno != EEXIST)
        return folder_error("create", name, errno);
    // A base that its users may not read cannot be synced by them; the folder is there all the same.
    (void)sync_folder(parent);
    return open_step(parent, name);
}

Result<UniqueFd> open_folder(const MailboxPath& path)
{
    // The base is the administrator's own word: a symbolic link in it is meant.
    UniqueFd folder(::open(path.base.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!folder)
        return folder_error("open", path.base, errno);
    for (const std::string& name : path.folders) {
        TRY(folder, open_or_make_folder(folder.get(), name));
    }
    return folder;
}

Result<> sync_folder(int folder)
{
    const UniqueFd fd(::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd || ::fsync(fd.get()) != 0)
        return system_error("sync folder");
    return {};
}

} // namespace bulkhead
