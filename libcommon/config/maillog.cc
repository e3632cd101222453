#include "config/maillog.h"

#include "base/text.h"
#include "base/unique_fd.h"
#include "config/config.h"
#include "config/values.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <syslog.h>

#include <array>

#include <fmt/format.h>

namespace bulkhead
{

MaillogSettings MaillogSettings::from(const Config& config)
{
    const std::string host = config.get("myhostname");
    return {.file = config.get("maillog_file"),
            .json = config.get("maillog_format") == "json",
            .prefixes = config.get("maillog_file_prefixes"),
            .permissions = config.get("maillog_file_permissions"),
            .syslog_name = config.get("syslog_name"),
            .facility = config.get("syslog_facility"),
            .host = host.substr(0, host.find('.'))};
}

int syslog_facility_code(std::string_view name)
{
    struct Row {
        std::string_view name;
        int code;
    };
    static constexpr std::array<Row, 19> rows{{
        {"auth", LOG_AUTH},     {"authpriv", LOG_AUTHPRIV}, {"cron", LOG_CRON},     {"daemon", LOG_DAEMON},
        {"ftp", LOG_FTP},       {"lpr", LOG_LPR},           {"mail", LOG_MAIL},     {"news", LOG_NEWS},
        {"syslog", LOG_SYSLOG}, {"user", LOG_USER},         {"uucp", LOG_UUCP},     {"local0", LOG_LOCAL0},
        {"local1", LOG_LOCAL1}, {"local2", LOG_LOCAL2},     {"local3", LOG_LOCAL3}, {"local4", LOG_LOCAL4},
        {"local5", LOG_LOCAL5}, {"local6", LOG_LOCAL6},     {"local7", LOG_LOCAL7},
    }};
    for (const Row& row : rows)
        if (row.name == name)
            return row.code;
    return LOG_MAIL;
}

std::optional<unsigned> parse_log_file_mode(std::string_view text)
{
    return text == "0600"   ? std::optional(0600U)
           : text == "0640" ? std::optional(0640U)
           : text == "0644" ? std::optional(0644U)
                            : std::nullopt;
}

Result<> check_maillog_path(const MaillogSettings& settings)
{
    if (settings.file.find("/../") != std::string::npos)
        return Error{Fault::config, fmt::format("maillog_file {} contains \"..\"", settings.file)};
    for (const std::string& prefix : parse_list(settings.prefixes)) {
        const bool whole = settings.file.size() == prefix.size() || prefix.ends_with('/') ||
                           (settings.file.size() > prefix.size() && settings.file[prefix.size()] == '/');
        if (settings.file.starts_with(prefix) && whole)
            return {};
    }
    return Error{Fault::config,
                 fmt::format("maillog_file {} does not begin with a prefix of maillog_file_prefixes ({})",
                             settings.file, settings.prefixes)};
}

// The file is opened here once, with all its checks; the logger gets the descriptor.
static Result<UniqueFd> open_log_file(const MaillogSettings& settings)
{
    TRY_VOID(check_maillog_path(settings));
    const auto mode = parse_log_file_mode(settings.permissions);
    if (!mode)
        return Error{Fault::config, "maillog_file_permissions: must be 0600, 0640 or 0644"};
    constexpr int flags = O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    UniqueFd fd(::open(settings.file.c_str(), flags));
    if (!fd && errno == ENOENT) { // what is there keeps the rights that it has
        fd.reset(::open(settings.file.c_str(), flags | O_CREAT, 0600));
        if (fd)
            ::fchmod(fd.get(), *mode); // whatever the umask
    }
    if (!fd)
        return system_error("open maillog_file " + settings.file);
    struct stat st{};
    if (::fstat(fd.get(), &st) != 0 || !S_ISREG(st.st_mode))
        return Error{Fault::refused, fmt::format("maillog_file {} is not a regular file", settings.file)};
    return fd;
}

Result<> open_maillog(const MaillogSettings& settings, std::string_view program, bool stdout_allowed,
                      bool also_standard_error)
{
    log::Target target;
    target.kind = log::Target::Kind::syslog;
    target.facility = syslog_facility_code(settings.facility);
    target.json = settings.json;
    target.also_standard_error = also_standard_error;
    const std::string tag = fmt::format("{}/{}", settings.syslog_name, program);
    if (settings.file.empty()) {
        log::open(target, tag, settings.host);
        return {};
    }
    if (settings.file == "/dev/stdout" && stdout_allowed) {
        // A description of our own, so that not waiting for a slow reader is our affair
        // alone; a socket has none to open and is written as it is.
        const int own = ::open("/proc/self/fd/1", O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        target.kind = own >= 0 ? log::Target::Kind::file : log::Target::Kind::stdout_;
        target.path = settings.file;
        target.also_standard_error = false; // one stream of lines of one form
        log::open(target, tag, settings.host);
        if (own >= 0)
            log::use_descriptor(own);
        return {};
    }
    auto fd = open_log_file(settings);
    if (!fd) {
        log::open(target, tag, settings.host);
        return fd.error();
    }
    target.kind = log::Target::Kind::file;
    target.path = settings.file;
    log::open(target, tag, settings.host);
    log::use_descriptor(fd->release());
    return {};
}

} // namespace bulkhead
