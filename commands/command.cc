#include "command.h"

#include "base/text.h"
#include "base/unique_fd.h"
#include "config/environment.h"
#include "config/install_paths.h"
#include "config/maillog.h"
#include "os/jail.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr int standard_descriptors = 3;

// A file that is opened later must not become somebody's stdout.
void open_standard_descriptors()
{
    int fd = 0;
    while (fd >= 0 && fd < standard_descriptors)
        fd = ::open("/dev/null", O_RDWR | O_NOCTTY);
    if (fd >= standard_descriptors)
        ::close(fd);
}

// TZ may name a file; only names of the system's own zones are kept.
bool is_plain_zone(std::string_view zone)
{
    return !zone.empty() && zone.size() < 64 && zone.front() != '/' && zone.front() != ':' &&
           zone.find("..") == std::string_view::npos;
}

void clean_environment()
{
    const auto value = [](const char* name) {
        const char* const found = std::getenv(name);
        return std::string(found != nullptr ? found : "");
    };
    const std::string folder = value("MAIL_CONFIG");
    const std::string zone = value("TZ");
    ::clearenv();
    ::setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
    if (!folder.empty())
        ::setenv("MAIL_CONFIG", folder.c_str(), 1);
    if (is_plain_zone(zone))
        ::setenv("TZ", zone.c_str(), 1);
}

// Only root can have written it.
Result<> check_trusted(const std::string& path)
{
    struct stat st{};
    if (::stat(path.c_str(), &st) != 0)
        return system_error(path);
    if (st.st_uid != 0 || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return Error{Fault::refused, fmt::format("{}: not safe, others than root may write to it", path)};
    return {};
}

bool lists(const Config& config, std::string_view parameter, std::string_view directory)
{
    const std::vector<std::string> known = config.get_list(parameter);
    return std::find(known.begin(), known.end(), directory) != known.end();
}

Result<> check_listed(const std::string& directory)
{
    const std::string& standard = install_paths().config_directory;
    if (directory == standard)
        return {};
    TRY_VOID(check_trusted(standard + "/main.cf"));
    TRY(const Config config, Config::load(standard));
    const std::vector<std::string> environments = secondary_directories(config);
    if (lists(config, "alternate_config_directories", directory) ||
        std::find(environments.begin(), environments.end(), directory) != environments.end())
        return {};
    return Error{Fault::refused, fmt::format("unauthorized configuration directory name: {}", directory)};
}

// Somebody has the datagram socket open.
bool answers(const std::string& path)
{
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return false;
    std::memcpy(address.sun_path, path.data(), path.size());
    const UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    return fd && ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

} // namespace

Command::Command(std::string_view name) : name_(name)
{
    open_standard_descriptors();
    elevated_ = ::getauxval(AT_SECURE) != 0 && ::getuid() != 0;
    if (elevated_)
        clean_environment();
}

bool Command::is_root() const
{
    return ::getuid() == 0;
}

Result<Config> Command::load_config(const std::optional<std::string>& directory) const
{
    std::string folder = directory ? *directory : default_config_directory();
    while (folder.size() > 1 && folder.ends_with('/'))
        folder.pop_back();
    if (elevated_) {
        TRY_VOID(check_listed(folder));
        TRY_VOID(check_trusted(folder));
        TRY_VOID(check_trusted(folder + "/main.cf"));
    }
    return Config::load(folder, {}, name_);
}

void Command::open_log(const Config& config, std::string_view tag)
{
    log_is_open_ = true;
    MaillogSettings settings = MaillogSettings::from(config);
    const char* const first = elevated_ ? nullptr : std::getenv("MAIL_LOGTAG");
    if (first != nullptr && *first != '\0')
        settings.syslog_name = first;
    const std::string full_tag =
        tag.empty() ? fmt::format("{}/{}", settings.syslog_name, name_) : std::string(tag);

    log::Target target;
    target.kind = log::Target::Kind::syslog;
    target.facility = syslog_facility_code(settings.facility);
    const std::string socket =
        fmt::format("{}/public/{}", config.queue_directory(), config.get("postlog_service_name"));
    if (!settings.file.empty() && answers(socket)) {
        target.kind = log::Target::Kind::postlog;
        target.json = settings.json;
        target.path = socket;
    } else if (!settings.file.empty() && ::geteuid() == 0) {
        if (const auto opened = open_maillog(settings, name_, false, false); !opened)
            fmt::print(stderr, "{}: warning: {}\n", name_, opened.error().context);
        log::set_tag(full_tag);
        return;
    }
    log::open(target, full_tag, settings.host);
}

void Command::say(Severity severity, std::string_view text) const
{
    fmt::print(stderr, "{}: {}{}\n", name_, log::severity_prefix(severity), printable(text, true));
    if (log_is_open_)
        log::write(severity, text);
}

int Command::fail(int exit_code, std::string_view text) const
{
    fmt::print(stderr, "{}: fatal: {}\n", name_, printable(text, true));
    return exit_code;
}

Result<> become_mail_owner(const Config& config)
{
    TRY(const UserIds owner, find_user(config.get("mail_owner")));
    if (::setgroups(0, nullptr) != 0 || ::setresgid(owner.gid, owner.gid, owner.gid) != 0 ||
        ::setresuid(owner.uid, owner.uid, owner.uid) != 0)
        return system_error("become " + owner.name);
    return {};
}

} // namespace bulkhead
