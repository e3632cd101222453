// Log lines in the exact format of Postfix's, to syslog, a file, stdout or, from
// a jail, to postlogd.  Never waits for a logger: lines are collected, sent
// without blocking, and when the other side does not keep up they are dropped
// and counted.  The logger and the loop are the only globals.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace bulkhead
{

enum class Severity { info, warning, error, fatal, panic };

namespace log
{

// "warning: " and so on; nothing for info.
std::string_view severity_prefix(Severity severity);

// Where lines go.  Paths are as this process sees them now; sockets and files
// are opened by open() and stay valid after chroot.
struct Target {
    enum class Kind { standard_error, syslog, stdout_, file, postlog } kind = Kind::standard_error;
    std::string path;                 // file: the log file; postlog: the socket, relative to the spool
    int facility = 2 << 3;            // syslog(3) facility, LOG_MAIL
    bool json = false;                // file, postlog, stdout: one object a line
    bool also_standard_error = false; // commands and start-up: show it to the person too
};

// tag is "postfix/smtpd"; host is the first label of myhostname.
void open(const Target& target, std::string tag, std::string host);
void set_tag(std::string tag);

// Called by the process that writes a file itself (postlogd, master): take a
// descriptor that was opened with privilege.
void use_descriptor(int fd);

void write(Severity severity, std::string_view text);
inline void info(std::string_view text)
{
    write(Severity::info, text);
}
inline void warn(std::string_view text)
{
    write(Severity::warning, text);
}
inline void error(std::string_view text)
{
    write(Severity::error, text);
}
inline void fatal(std::string_view text)
{
    write(Severity::fatal, text);
}

// Sends what is collected.  The loop calls it before it sleeps; patient waits up
// to a tenth of a second, for a process that is about to end.  False: the receiver is not ready
// for all of it; the rest waits for the next call.
bool flush(bool patient = false);

// Lines lost because the receiver did not keep up.
std::uint64_t dropped();

// -v level of this worker; trace() is written at level 1 and above.
void set_verbosity(int level);
int verbosity();
void trace(std::string_view text);

} // namespace log

// One log line, fields in order: LogLine(id)("from", sender)("size", n).note("queue active")
// gives "ID: from=<a@b>, size=12 (queue active)".  Bytes that came from outside
// cannot make a second line: everything unprintable becomes '?'.
class LogLine
{
public:
    explicit LogLine(std::string_view queue_id);

    LogLine& operator()(std::string_view key, std::string_view value);
    LogLine& operator()(std::string_view key, std::int64_t value);
    // An address in angle brackets: from=<a@b>; text is its logged_form().
    LogLine& address(std::string_view key, std::string_view text);
    LogLine& note(std::string_view text); // " (text)"

    const std::string& text() const { return text_; }

private:
    void key(std::string_view name);
    std::string text_;
    bool first_ = true;
};

// Seconds with at most two significant digits behind the point, as delay= and
// delays= have it: 0, 0.03, 1.2, 11, 353 (log-format.md section 3).
std::string format_delay(double seconds);

} // namespace bulkhead
