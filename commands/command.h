// What the commands of users and administrators have in common: which configuration
// folder they may trust, where their log lines go, and how they end.  A command may be
// installed with the rights of setgid_group; it then believes nothing that the caller
// can set.
#pragma once

#include "base/result.h"
#include "config/config.h"
#include "log/log.h"

#include <optional>
#include <string>
#include <string_view>

namespace bulkhead
{

class Command
{
public:
    // The first thing in main(): opens descriptors 0 to 2 when they are closed and, when
    // the program has rights that its caller has not, cleans the environment.
    explicit Command(std::string_view name);

    const std::string& name() const { return name_; }
    // It runs with the rights of setgid_group for a caller who has them not.
    bool is_elevated() const { return elevated_; }
    bool is_root() const;

    // main.cf of -c, else of $MAIL_CONFIG, else of the default folder.  Elevated, another
    // folder than the default must be listed there in alternate_config_directories or
    // multi_instance_directories (Fault::refused), and all must belong to root.
    Result<Config> load_config(const std::optional<std::string>& directory) const;

    // Log lines go where those of the workers go: with maillog_file to postlogd, to the file
    // itself when postlogd does not answer and we are root, else to syslog.
    // tag: the whole tag; empty is "<syslog_name>/<name>".
    void open_log(const Config& config, std::string_view tag = {});

    // To stderr, and when open_log() was called to the log too.
    void say(Severity severity, std::string_view text) const;

    // A last line "NAME: fatal: ..." on stderr (not in the log); gives exit_code back.
    int fail(int exit_code, std::string_view text) const;

private:
    std::string name_;
    bool elevated_ = false;
    bool log_is_open_ = false;
};

// For root: the rights of mail_owner from now on, whose files the spool's are.
Result<> become_mail_owner(const Config& config);

} // namespace bulkhead
