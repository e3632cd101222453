// unix:passwd.byname and unix:group.byname: the system's users and groups, as lines of their
// files.  Behind a chroot the system cannot be asked any more, so what it can list is
// remembered when the table is opened, and answers from there on.
#include "base/text.h"
#include "table/file_watch.h"
#include "table/fold.h"
#include "table/types.h"

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>

#include <unordered_map>

namespace bulkhead
{

namespace
{

constexpr std::size_t remembered_limit = 200000;
constexpr std::size_t lookup_buffer_size = 64 << 10;

std::string line_of(const passwd& user)
{
    const auto text = [](const char* field) { return std::string_view(field != nullptr ? field : ""); };
    return fmt::format("{}:{}:{}:{}:{}:{}:{}", text(user.pw_name), text(user.pw_passwd), user.pw_uid,
                       user.pw_gid, text(user.pw_gecos), text(user.pw_dir), text(user.pw_shell));
}

std::string line_of(const group& entry)
{
    std::string members;
    for (char** member = entry.gr_mem; member != nullptr && *member != nullptr; ++member)
        members += fmt::format("{}{}", members.empty() ? "" : ",", *member);
    return fmt::format("{}:{}:{}:{}", entry.gr_name, entry.gr_passwd != nullptr ? entry.gr_passwd : "",
                       entry.gr_gid, members);
}

Lookup ask_passwd(const std::string& name)
{
    passwd user{};
    passwd* found = nullptr;
    std::vector<char> buffer(lookup_buffer_size);
    const int status = ::getpwnam_r(name.c_str(), &user, buffer.data(), buffer.size(), &found);
    if (found != nullptr)
        return Lookup::found(line_of(user));
    const bool absent = status == 0 || status == ENOENT || status == ESRCH;
    return absent ? Lookup::absent() : Lookup::broken(system_error("getpwnam", status).context);
}

Lookup ask_group(const std::string& name)
{
    group entry{};
    group* found = nullptr;
    std::vector<char> buffer(lookup_buffer_size);
    const int status = ::getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
    if (found != nullptr)
        return Lookup::found(line_of(entry));
    const bool absent = status == 0 || status == ENOENT || status == ESRCH;
    return absent ? Lookup::absent() : Lookup::broken(system_error("getgrnam", status).context);
}

using Lines = std::unordered_map<std::string, std::string>;

Lines list_passwd()
{
    Lines lines;
    ::setpwent();
    while (lines.size() < remembered_limit) {
        const passwd* user = ::getpwent();
        if (user == nullptr)
            break;
        lines.try_emplace(user->pw_name, line_of(*user));
    }
    ::endpwent();
    return lines;
}

Lines list_group()
{
    Lines lines;
    ::setgrent();
    while (lines.size() < remembered_limit) {
        const group* entry = ::getgrent();
        if (entry == nullptr)
            break;
        lines.try_emplace(entry->gr_name, line_of(*entry));
    }
    ::endgrent();
    return lines;
}

// Which folder "/" is: another one after chroot.
std::pair<dev_t, ino_t> root_folder()
{
    struct stat status{};
    if (::stat("/", &status) != 0)
        return {};
    return {status.st_dev, status.st_ino};
}

struct Kind {
    std::string_view name;
    const char* file;
    Lookup (*ask)(const std::string& name);
    Lines (*list)();
};
constexpr Kind kinds[] = {
    {"group.byname", "/etc/group", ask_group, list_group},
    {"passwd.byname", "/etc/passwd", ask_passwd, list_passwd},
};

class UnixTable final : public Table
{
public:
    UnixTable(const Kind& kind, FileWatch watch, bool fold)
        : kind_(kind), watch_(std::move(watch)), remembered_(kind.list()), root_(root_folder()), fold_(fold)
    {
    }

    Lookup find(std::string_view key) override
    {
        const std::string name = fold_ ? fold_key(key) : std::string(key);
        if (name.empty() || name.find('\0') != name.npos)
            return Lookup::absent();
        if (root_folder() == root_)
            return kind_.ask(name);
        const auto it = remembered_.find(name);
        return it == remembered_.end() ? Lookup::absent() : Lookup::found(it->second);
    }
    bool is_stale() const override { return watch_.changed(); }

private:
    const Kind& kind_;
    FileWatch watch_;
    Lines remembered_;
    std::pair<dev_t, ino_t> root_;
    bool fold_;
};

} // namespace

Result<std::unique_ptr<Table>> open_unix(std::string_view name, const TableOptions& options)
{
    for (const Kind& kind : kinds)
        if (kind.name == name)
            return std::unique_ptr<Table>(std::make_unique<UnixTable>(
                kind, FileWatch::open(kind.file).value_or(FileWatch()), options.fold_fixed_keys));
    return Error{Fault::config, fmt::format("unknown table: unix:{}", printable(name))};
}

} // namespace bulkhead
