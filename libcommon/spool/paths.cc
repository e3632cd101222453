#include "spool/paths.h"

#include "base/text.h"
#include "spool/io.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace bulkhead
{

static constexpr std::array<std::string_view, queue_count> names{"maildrop", "incoming", "active", "deferred",
                                                                 "hold",     "corrupt",  "bounce", "defer",
                                                                 "trace",    "flush",    "saved"};

std::string_view queue_name(Queue queue)
{
    return names[static_cast<std::size_t>(queue)];
}

std::optional<Queue> queue_from_name(std::string_view name)
{
    for (const Queue queue : all_queues)
        if (queue_name(queue) == name)
            return queue;
    return std::nullopt;
}

Result<QueueSet> QueueSet::parse_hash_names(std::string_view list)
{
    QueueSet set;
    for (const std::string_view name : split(list, " ,\t\r\n")) {
        const auto queue = queue_from_name(name);
        if (!queue)
            return Error{Fault::config, fmt::format("hash_queue_names: no such queue: {}", printable(name))};
        if (*queue == Queue::maildrop)
            return Error{Fault::config, "hash_queue_names: maildrop cannot be hashed"};
        set.add(*queue);
    }
    return set;
}

Result<Spool> Spool::open(SpoolLayout layout)
{
    UniqueFd root(::open(layout.root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!root)
        return file_error("open queue directory", layout.root);
    return Spool(std::move(layout), std::move(root));
}

std::string Spool::path_of(Queue queue, const QueueId& id) const
{
    std::string path(queue_name(queue));
    path += '/';
    if (layout_.hash_queues.has(queue))
        for (const char c : id.hash_characters(layout_.hash_depth)) {
            path += c;
            path += '/';
        }
    path += id.text();
    return path;
}

Result<> Spool::make_parents(const std::string& path) const
{
    const std::size_t queue_end = path.find('/');
    for (std::size_t slash = path.find('/', queue_end + 1); slash != std::string::npos;
         slash = path.find('/', slash + 1)) {
        const std::string directory = path.substr(0, slash);
        if (::mkdirat(root_.get(), directory.c_str(), 0700) != 0) {
            if (errno == EEXIST)
                continue;
            return file_error("create directory", directory);
        }
        if (::geteuid() != 0)
            continue;
        // A command run by root must not leave a directory that the mail owner cannot use.
        struct stat queue{};
        if (::fstatat(root_.get(), path.substr(0, queue_end).c_str(), &queue, AT_SYMLINK_NOFOLLOW) != 0 ||
            ::fchownat(root_.get(), directory.c_str(), queue.st_uid, queue.st_gid, AT_SYMLINK_NOFOLLOW) != 0)
            return file_error("change owner of", directory);
    }
    return {};
}

// ---- The tree ---------------------------------------------------------------

namespace
{

enum class Owner { root, mail_owner };
enum class Group { any, setgid };

struct DirectoryRule {
    std::string_view name;
    Owner owner;
    Group group;
    mode_t mode;
};

// docs: spool directories.  A sticky bit that a package set on maildrop stays.
constexpr std::array rules{
    DirectoryRule{"maildrop", Owner::mail_owner, Group::setgid, 0730},
    DirectoryRule{"incoming", Owner::mail_owner, Group::any, 0700},
    DirectoryRule{"active", Owner::mail_owner, Group::any, 0700},
    DirectoryRule{"deferred", Owner::mail_owner, Group::any, 0700},
    DirectoryRule{"hold", Owner::mail_owner, Group::any, 0700},
    DirectoryRule{"corrupt", Owner::mail_owner, Group::any, 0700},
    DirectoryRule{"bounce", Owner::mail_owner, Group::any, 0700},
    DirectoryRule{"defer", Owner::mail_owner, Group::any, 0700},
    DirectoryRule{"trace", Owner::mail_owner, Group::any, 0700},
    DirectoryRule{"flush", Owner::mail_owner, Group::any, 0700},
    DirectoryRule{"saved", Owner::mail_owner, Group::any, 0700},
    DirectoryRule{"recycled", Owner::mail_owner, Group::any, 0700},
    DirectoryRule{"log", Owner::mail_owner, Group::any, 0700},
    DirectoryRule{"private", Owner::mail_owner, Group::any, 0700},
    DirectoryRule{"public", Owner::mail_owner, Group::setgid, 0710},
    DirectoryRule{"pid", Owner::root, Group::any, 0755},
};

struct Wanted {
    uid_t owner;
    std::optional<gid_t> group; // nullopt: whatever it is
    gid_t new_group;
    mode_t mode;

    bool owner_fits(const struct stat& st) const
    {
        return st.st_uid == owner && (!group || st.st_gid == *group);
    }
    bool mode_fits(const struct stat& st) const { return (st.st_mode & 07777 & ~mode_t{S_ISVTX}) == mode; }
};

// "root" is whoever runs master: in tests that may be somebody else.
Wanted wanted(const DirectoryRule& rule, const SpoolOwners& owners)
{
    const bool of_mail = rule.owner == Owner::mail_owner;
    const gid_t plain = of_mail ? owners.mail_group : ::getegid();
    const std::optional<gid_t> group =
        rule.group == Group::setgid ? std::optional(owners.setgid_group) : std::nullopt;
    return {of_mail ? owners.mail_owner : ::geteuid(), group, group.value_or(plain), rule.mode};
}

Result<UniqueFd> open_directory(int parent, const std::string& name, const std::string& shown)
{
    const int fd = ::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0)
        return UniqueFd(fd);
    if (errno == ELOOP || errno == ENOTDIR)
        return Error{Fault::refused, fmt::format("{} is not a directory (a symbolic link is not one)", shown),
                     errno};
    return file_error("open", shown);
}

Result<> ensure_directory(int root, const DirectoryRule& rule, const SpoolLayout& layout,
                          const SpoolOwners& owners)
{
    const std::string name(rule.name);
    const std::string shown = layout.root + '/' + name;
    const Wanted want = wanted(rule, owners);
    const bool made = ::mkdirat(root, name.c_str(), 0700) == 0;
    if (!made && errno != EEXIST)
        return file_error("create directory", shown);

    TRY(const UniqueFd directory, open_directory(root, name, shown));
    struct stat st{};
    if (::fstat(directory.get(), &st) != 0)
        return file_error("stat", shown);
    const gid_t group = made ? want.new_group : want.group.value_or(st.st_gid);
    if ((made || !want.owner_fits(st)) && ::fchown(directory.get(), want.owner, group) != 0)
        return file_error("change owner of", shown);
    if (!want.mode_fits(st) && ::fchmod(directory.get(), want.mode | (st.st_mode & S_ISVTX)) != 0)
        return file_error("change mode of", shown);
    return {};
}

Result<UniqueFd> open_root(const std::string& root)
{
    UniqueFd fd(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd)
        return file_error("open queue directory", root);
    struct stat st{};
    if (::fstat(fd.get(), &st) != 0)
        return file_error("stat queue directory", root);
    if (st.st_uid != ::geteuid())
        return Error{Fault::refused, fmt::format("queue directory {} is owned by user {}, not by {}", root,
                                                 st.st_uid, ::geteuid())};
    if ((st.st_mode & 022) != 0)
        return Error{Fault::refused, fmt::format("queue directory {} is writable by others (mode {:04o})",
                                                 root, st.st_mode & 07777)};
    return fd;
}

} // namespace

Result<> ensure_spool(const SpoolLayout& layout, const SpoolOwners& owners)
{
    if (::mkdir(layout.root.c_str(), 0755) == 0) {
        if (::chmod(layout.root.c_str(), 0755) != 0) // whatever the umask is
            return file_error("change mode of", layout.root);
    } else if (errno != EEXIST) {
        return file_error("create queue directory", layout.root);
    }
    TRY(const UniqueFd root, open_root(layout.root));
    for (const DirectoryRule& rule : rules)
        TRY_VOID(ensure_directory(root.get(), rule, layout, owners));
    return {};
}

std::vector<std::string> check_spool(const SpoolLayout& layout, const SpoolOwners& owners)
{
    const auto root = open_root(layout.root);
    if (!root)
        return {root.error().context};
    std::vector<std::string> complaints;
    for (const DirectoryRule& rule : rules) {
        const std::string name(rule.name);
        const std::string shown = layout.root + '/' + name;
        const Wanted want = wanted(rule, owners);
        struct stat st{};
        if (::fstatat(root->get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0)
            complaints.push_back(file_error("stat", shown).context);
        else if (!S_ISDIR(st.st_mode))
            complaints.push_back(shown + " is not a directory");
        else if (!want.owner_fits(st))
            complaints.push_back(fmt::format("{} is owned by {}:{}, not by {}:{}", shown, st.st_uid,
                                             st.st_gid, want.owner, want.group.value_or(st.st_gid)));
        else if (!want.mode_fits(st))
            complaints.push_back(
                fmt::format("{} has mode {:04o}, not {:04o}", shown, st.st_mode & 07777, want.mode));
    }
    return complaints;
}

} // namespace bulkhead
