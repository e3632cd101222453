#include "table/map_file.h"

#include "base/text.h"
#include "log/log.h"
#include "os/files.h"
#include "table/cdb_table.h"
#include "table/file_value.h"
#include "table/lmdb_table.h"
#include "table/text_source.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <utility>

namespace bulkhead
{

std::optional<std::string> map_path(std::string_view type, std::string_view name)
{
    if (type == "hash" || type == "btree" || type == "lmdb")
        return lmdb_path(name);
    if (type == "cdb")
        return std::string(name) + ".cdb";
    return std::nullopt;
}

// "." for a bare name.
static std::string folder_of(const std::string& path)
{
    const auto slash = path.rfind('/');
    return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

// ---- one new file

Result<NewMapFile> NewMapFile::create(const std::string& path, const std::string& like)
{
    struct stat model{};
    model.st_mode = 0644;
    model.st_uid = ::geteuid();
    model.st_gid = ::getegid();
    if (::lstat(path.c_str(), &model) != 0 || !S_ISREG(model.st_mode)) {
        if (!like.empty() && ::stat(like.c_str(), &model) != 0)
            return system_error("open " + like);
        if (like.empty())
            model.st_mode = 0644;
    }
    NewMapFile file;
    file.path_ = path;
    std::string name = folder_of(path) + "/.postmap.XXXXXX";
    file.fd_.reset(::mkostemp(name.data(), O_CLOEXEC));
    if (!file.fd_)
        return system_error("open database " + path);
    file.temporary_ = std::move(name);
    // Group before mode: nobody must read it with the wrong one.  Root only; others cannot and need not.
    if (::geteuid() == 0 && model.st_uid == 0 && ::fchown(file.fd(), 0, model.st_gid) != 0)
        return system_error("chown " + path);
    if (::fchmod(file.fd(), model.st_mode & 0666) != 0)
        return system_error("chmod " + path);
    return file;
}

NewMapFile::NewMapFile(NewMapFile&& other) noexcept
    : path_(std::move(other.path_)), temporary_(std::exchange(other.temporary_, {})),
      fd_(std::move(other.fd_))
{
}

NewMapFile& NewMapFile::operator=(NewMapFile&& other) noexcept
{
    std::swap(path_, other.path_);
    std::swap(temporary_, other.temporary_);
    std::swap(fd_, other.fd_);
    return *this;
}

NewMapFile::~NewMapFile()
{
    if (!temporary_.empty())
        ::unlink(temporary_.c_str());
}

Result<> NewMapFile::commit() &&
{
    if (::rename(temporary_.c_str(), path_.c_str()) != 0)
        return system_error("rename " + path_);
    temporary_.clear();
    return {};
}

Result<MapLock> MapLock::wait(const std::string& path)
{
    constexpr int attempts = 1000; // each is somebody else's finished change
    for (int attempt = 0; attempt < attempts; ++attempt) {
        MapLock lock;
        lock.fd_.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
        if (!lock.fd_)
            return errno == ENOENT || errno == ELOOP ? Result<MapLock>(std::move(lock))
                                                     : system_error("open database " + path);
        if (::flock(lock.fd_.get(), LOCK_EX) != 0)
            return system_error("lock " + path);
        struct stat locked{};
        struct stat present{};
        if (::fstat(lock.fd_.get(), &locked) == 0 && ::lstat(path.c_str(), &present) == 0 &&
            locked.st_dev == present.st_dev && locked.st_ino == present.st_ino)
            return lock;
    }
    return Error{Fault::broken, fmt::format("lock {}: it is replaced all the time", path)};
}

Result<std::unique_ptr<MapWriter>> create_map(std::string_view type, std::string_view name,
                                              const std::string& like, bool keep_old)
{
    const auto path = map_path(type, name);
    if (!path)
        return Error{Fault::config,
                     fmt::format("unsupported dictionary type: {} does not support bulk-mode creation.",
                                 printable(type))};
    if (type == "cdb" && keep_old)
        return Error{Fault::config, "a cdb file cannot be changed, only made anew from its source"};
    if (type == "cdb") {
        TRY(std::unique_ptr<MapWriter> writer, create_cdb(*path, like));
        return writer;
    }
    TRY(LmdbWriter writer, LmdbWriter::create(*path, like, keep_old));
    return std::unique_ptr<MapWriter>(std::make_unique<LmdbWriter>(std::move(writer)));
}

// ---- a whole database

Result<OwnerOf> OwnerOf::enter(const std::string& path, bool keep_root)
{
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0)
        return system_error("open " + path);
    OwnerOf owner;
    if (keep_root || ::geteuid() != 0 || status.st_uid == 0)
        return owner;
    if (::setgroups(0, nullptr) != 0 || ::setegid(status.st_gid) != 0 || ::seteuid(status.st_uid) != 0)
        return system_error("become the owner of " + path);
    owner.changed_ = true;
    return owner;
}

OwnerOf::~OwnerOf()
{
    if (changed_)
        ensure(::seteuid(0) == 0 && ::setegid(0) == 0, "the user of root comes back");
}

static Result<> put_entry(MapWriter& writer, std::string_view key, const std::string& value,
                          const MapBuild& build)
{
    const auto stored =
        writer.put(key, value, build.ending, build.replace ? Duplicate::replace : Duplicate::refuse);
    if (stored || stored.error().fault != Fault::refused)
        return stored;
    if (!build.is_quiet)
        log::warn(fmt::format("{}: {}", *map_path(build.type, build.name), stored.error().context));
    return {};
}

static Result<> put_all(MapWriter& writer, const TextSource& source, const MapBuild& build)
{
    for (const std::string& warning : source.warnings)
        log::warn(warning);
    for (const SourceEntry& entry : source.entries) {
        if (!build.values_are_files) {
            TRY_VOID(put_entry(writer, entry.key, entry.value, build));
            continue;
        }
        const auto contents = read_file_value(entry.value);
        if (!contents)
            log::warn(fmt::format("{}, line {}: {}: skipping this entry", build.name, entry.line,
                                  contents.error().context));
        else
            TRY_VOID(put_entry(writer, entry.key, to_base64(*contents), build));
    }
    return {};
}

// What sendmail and NIS expect in an alias database.
static Result<> put_alias_marks(MapWriter& writer, const MapBuild& build)
{
    const std::string now = fmt::format("{}", ::time(nullptr));
    for (const auto& [key, value] : {std::pair<std::string_view, std::string>{"@", "@"},
                                     {"YP_LAST_MODIFIED", now},
                                     {"YP_MASTER_NAME", build.myhostname}})
        TRY_VOID(writer.put(key, value, build.ending, Duplicate::replace));
    return {};
}

static Result<std::string> read_standard_input()
{
    std::string text;
    char buffer[64 << 10];
    for (;;) {
        const ssize_t count = ::read(STDIN_FILENO, buffer, sizeof buffer);
        if (count < 0 && errno != EINTR)
            return system_error("read standard input");
        if (count == 0)
            return text;
        if (count > 0)
            text.append(buffer, static_cast<std::size_t>(count));
        if (text.size() > TextSource::size_limit)
            return Error{Fault::limit, "standard input is too large"};
    }
}

Result<> build_map(const MapBuild& build)
{
    const auto path = map_path(build.type, build.name);
    if (!path)
        return create_map(build.type, build.name, {}, false).error();
    struct stat status{};
    const bool has_source = ::stat(build.name.c_str(), &status) == 0;
    if (!has_source && !build.from_stdin)
        return system_error("open " + build.name);
    std::optional<OwnerOf> owner;
    if (has_source) {
        TRY(OwnerOf entered, OwnerOf::enter(build.name, build.keep_root));
        owner.emplace(std::move(entered));
    }
    TRY(const std::string text,
        build.from_stdin ? read_standard_input() : read_file(build.name, TextSource::size_limit));
    const std::string place = build.from_stdin ? "stdin" : build.name;
    const TextSource source = build.is_aliases
                                  ? TextSource::parse_aliases(text, place, build.fold, build.utf8)
                                  : TextSource::parse_map(text, place, build.fold, build.utf8);
    TRY(const MapLock lock, MapLock::wait(*path));
    TRY(const std::unique_ptr<MapWriter> writer,
        create_map(build.type, build.name, build.inherit_mode && has_source ? build.name : "",
                   build.from_stdin));
    TRY_VOID(put_all(*writer, source, build));
    if (build.is_aliases)
        TRY_VOID(put_alias_marks(*writer, build));
    return writer->commit();
}

Result<> rebuild_berkeley_map(std::string_view type, std::string_view name, bool is_aliases)
{
    MapBuild build;
    build.type = type;
    build.name = name;
    const std::string berkeley = build.name + ".db";
    const auto text = read_file(build.name, TextSource::size_limit);
    build.is_aliases = is_aliases || (text && TextSource::looks_like_aliases(*text));
    const std::string advice =
        fmt::format("{} is a Berkeley DB file that this system does not read; run: {} {}:{}", berkeley,
                    build.is_aliases ? "postalias" : "postmap", type, name);
    if (!text)
        return Error{Fault::config,
                     fmt::format("{} (its source is missing: {})", advice, text.error().context)};
    // All workers start at once: one builds, the others find its work.
    const UniqueFd source(::open(build.name.c_str(), O_RDONLY | O_CLOEXEC));
    if (!source || ::flock(source.get(), LOCK_EX) != 0)
        return system_error("lock " + build.name);
    const std::string path = lmdb_path(name);
    if (::access(path.c_str(), F_OK) == 0)
        return {};
    char host[256] = {};
    ::gethostname(host, sizeof host - 1);
    build.myhostname = host;
    const auto built = build_map(build);
    if (!built)
        return Error{Fault::config, fmt::format("{} ({})", advice, built.error().context)};
    log::info(fmt::format("{}:{}: made {} from its source, as {} is a Berkeley DB file", type, name, path,
                          berkeley));
    return {};
}

void warn_if_older_than_source(const std::string& database, const std::string& source)
{
    constexpr std::time_t working = 100;
    struct stat made{};
    struct stat written{};
    if (::stat(database.c_str(), &made) == 0 && ::stat(source.c_str(), &written) == 0 &&
        written.st_mtime > made.st_mtime && written.st_mtime < ::time(nullptr) - working)
        log::warn(fmt::format("database {} is older than source file {}", database, source));
}

} // namespace bulkhead
