// Where an environment's log lines go when a process of root writes them itself:
// the master and the administrator's commands, outside any jail.  (Workers send theirs
// to postlogd.)
#pragma once

#include "base/result.h"
#include "log/log.h"

#include <optional>
#include <string>
#include <string_view>

namespace bulkhead
{

class Config;

// What the log needs to know of main.cf, to be kept when the rest is dropped.
struct MaillogSettings {
    std::string file;        // maillog_file, empty: syslog
    bool json = false;       // maillog_format
    std::string prefixes;    // maillog_file_prefixes
    std::string permissions; // maillog_file_permissions
    std::string syslog_name; // first part of the tag
    std::string facility;    // syslog_facility
    std::string host;        // first label of myhostname

    static MaillogSettings from(const Config& config);
};

// The syslog(3) facility of a name, LOG_MAIL for an unknown one.
int syslog_facility_code(std::string_view name);

// 0600, 0640 or 0644; nullopt for any other text.
std::optional<unsigned> parse_log_file_mode(std::string_view text);

// maillog_file may only lie below one of maillog_file_prefixes.
Result<> check_maillog_path(const MaillogSettings& settings);

// Opens the log of this process with the tag "<syslog_name>/<program>".  stdout_allowed: the
// process stays in the foreground, so /dev/stdout means its own.  A log file that
// cannot be written falls back to syslog, and the error says why.
Result<> open_maillog(const MaillogSettings& settings, std::string_view program, bool stdout_allowed,
                      bool also_standard_error);

} // namespace bulkhead
