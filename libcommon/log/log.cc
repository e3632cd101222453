#include "log/log.h"

#include "base/result.h"
#include "base/text.h"
#include "base/unique_fd.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <ctime>
#include <deque>
#include <mutex>
#include <vector>

#include <fmt/format.h>

namespace bulkhead
{

namespace log
{

namespace
{

constexpr std::size_t max_text = 2000;       // bytes of one line, as Postfix cuts
constexpr std::size_t max_batch = 16 * 1024; // bytes of one datagram
constexpr std::size_t max_pending = 1 << 20; // bytes kept while the receiver is slow

struct Logger {
    std::recursive_mutex mutex; // look-ups on pool threads log too
    Target target;
    std::string tag = "postfix";
    std::string host = "localhost";
    UniqueFd fd;
    std::deque<std::string> pending; // datagrams or file blocks, oldest first
    std::size_t pending_bytes = 0;
    std::uint64_t dropped = 0;
    std::uint64_t reported = 0;
    int verbosity = 0;
    pid_t pid = ::getpid(); // asked once: a process that forks opens its log after that
    std::int64_t stamp_second = -1;
    char stamp[32] = {};
};

Logger& logger()
{
    static Logger instance;
    return instance;
}

int syslog_level(Severity severity)
{
    switch (severity) {
    case Severity::info:
        return 6;
    case Severity::warning:
        return 4;
    case Severity::error:
        return 3;
    default:
        return 2;
    }
}

// "Nov 22 07:01:51", made once a second.
const char* timestamp(Logger& self)
{
    const std::time_t now = std::time(nullptr);
    if (now != self.stamp_second) {
        std::tm local{};
        ::localtime_r(&now, &local);
        std::strftime(self.stamp, sizeof self.stamp, "%b %e %H:%M:%S", &local);
        self.stamp_second = now;
    }
    return self.stamp;
}

void connect_datagram(Logger& self, const std::string& path)
{
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return;
    std::memcpy(address.sun_path, path.data(), path.size());
    UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (fd && ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
        self.fd = std::move(fd);
}

bool is_socket(const Logger& self)
{
    return self.target.kind == Target::Kind::syslog || self.target.kind == Target::Kind::postlog;
}

// One block out; false when the receiver cannot take it (all) now.
bool send_block(Logger& self, std::string& block)
{
    if (is_socket(self) && !self.fd)
        connect_datagram(self, self.target.path);
    const int fd = self.target.kind == Target::Kind::standard_error ? STDERR_FILENO
                   : self.target.kind == Target::Kind::stdout_      ? STDOUT_FILENO
                                                                    : self.fd.get();
    if (fd < 0)
        return false;
    const ssize_t sent = is_socket(self) ? ::send(fd, block.data(), block.size(), MSG_DONTWAIT | MSG_NOSIGNAL)
                                         : ::write(fd, block.data(), block.size());
    if (sent >= 0 && (is_socket(self) || static_cast<std::size_t>(sent) == block.size()))
        return true;
    if (sent > 0) { // a file takes the rest when there is room again
        self.pending_bytes -= static_cast<std::size_t>(sent);
        block.erase(0, static_cast<std::size_t>(sent));
        return false;
    }
    if (errno == ECONNREFUSED || errno == ENOTCONN || errno == ECONNRESET || errno == ENOENT)
        connect_datagram(self, self.target.path); // the receiver was replaced; the block is tried again later
    return false;
}

// "2026-11-22T07:01:51.123Z"
std::string exact_time()
{
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    std::tm utc{};
    ::gmtime_r(&now.tv_sec, &utc);
    char text[32];
    const std::size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    return fmt::format("{}.{:03}Z", std::string_view(text, size), now.tv_nsec / 1'000'000);
}

std::string_view severity_name(Severity severity)
{
    const std::string_view prefix = severity_prefix(severity); // "warning: "
    return prefix.empty() ? "info" : prefix.substr(0, prefix.size() - 2);
}

// The id in front of a line about one message; empty for other lines.  Long ids have no vowels.
std::string_view queue_id_of(std::string_view text)
{
    const auto end = text.find(": ");
    if (end == std::string_view::npos || end < 6 || end > 20)
        return {};
    const std::string_view id = text.substr(0, end);
    const bool is_short = id.find_first_not_of("0123456789ABCDEF") == std::string_view::npos;
    const bool is_long = end >= 10 && id.find_first_not_of("0123456789BCDFGHJKLMNPQRSTVWXYZ"
                                                           "bcdfghjklmnpqrstvwxyz") == std::string_view::npos;
    return is_short || is_long ? id : std::string_view();
}

// The text has no control characters any more.
std::string quoted(std::string_view text)
{
    std::string result = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\')
            result += '\\';
        result += c;
    }
    return result += '"';
}

std::string json_line(const Logger& self, Severity severity, std::string_view text)
{
    const auto slash = self.tag.rfind('/');
    const std::string_view tag = self.tag;
    std::string line = fmt::format(
        R"({{"time":"{}","host":{},"name":{},"program":{},"pid":{},"severity":"{}")", exact_time(),
        quoted(self.host), quoted(slash == std::string::npos ? tag : tag.substr(0, slash)),
        quoted(slash == std::string::npos ? tag : tag.substr(slash + 1)), self.pid, severity_name(severity));
    if (const std::string_view id = queue_id_of(text); !id.empty())
        line += fmt::format(R"(,"queue_id":"{}")", id);
    return line + fmt::format(R"(,"message":{}}})", quoted(text)) + "\n";
}

void enqueue(Logger& self, std::string line)
{
    if (self.pending_bytes + line.size() > max_pending) {
        ++self.dropped;
        return;
    }
    self.pending_bytes += line.size();
    // syslog takes one line a datagram; files and postlogd take many at once
    const bool batch = self.target.kind != Target::Kind::syslog;
    if (batch && !self.pending.empty() && self.pending.back().size() + line.size() < max_batch)
        self.pending.back() += line;
    else
        self.pending.push_back(std::move(line));
}

void panic_to_log(std::string_view text)
{
    write(Severity::panic, text);
    flush(true);
}

} // namespace

std::string_view severity_prefix(Severity severity)
{
    switch (severity) {
    case Severity::info:
        return "";
    case Severity::warning:
        return "warning: ";
    case Severity::error:
        return "error: ";
    case Severity::fatal:
        return "fatal: ";
    case Severity::panic:
        return "panic: ";
    }
    return "";
}

void open(const Target& target, std::string tag, std::string host)
{
    Logger& self = logger();
    self.target = target;
    self.tag = std::move(tag);
    self.host = std::move(host);
    self.fd.reset();
    self.pid = ::getpid();
    switch (target.kind) {
    case Target::Kind::syslog:
        self.target.path = target.path.empty() ? "/dev/log" : target.path;
        connect_datagram(self, self.target.path);
        break;
    case Target::Kind::postlog:
        connect_datagram(self, target.path);
        break;
    case Target::Kind::file:
        self.fd.reset(
            ::open(target.path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
        break;
    default:
        break;
    }
    set_panic_sink(panic_to_log);
}

void set_tag(std::string tag)
{
    logger().tag = std::move(tag);
}

void use_descriptor(int fd)
{
    logger().fd.reset(fd);
}

void write(Severity severity, std::string_view text)
{
    Logger& self = logger();
    const std::lock_guard lock(self.mutex);
    const std::string clean = printable(text.substr(0, max_text), true);
    const std::string_view prefix = severity_prefix(severity);
    const auto kind = self.target.kind;
    if (kind == Target::Kind::standard_error || self.target.also_standard_error) {
        const auto slash = self.tag.rfind('/');
        const std::string shown = kind == Target::Kind::standard_error && slash != std::string::npos
                                      ? self.tag.substr(slash + 1)
                                      : self.tag;
        const std::string line = fmt::format("{}: {}{}\n", shown, prefix, clean);
        (void)!::write(STDERR_FILENO, line.data(), line.size());
        if (kind == Target::Kind::standard_error)
            return;
    }
    if (kind == Target::Kind::syslog)
        enqueue(self, fmt::format("<{}>{} {}[{}]: {}{}", self.target.facility | syslog_level(severity),
                                  timestamp(self), self.tag, self.pid, prefix, clean));
    else if (self.target.json)
        enqueue(self, json_line(self, severity, clean));
    else
        enqueue(self, fmt::format("{} {} {}[{}]: {}{}\n", timestamp(self), self.host, self.tag, self.pid,
                                  prefix, clean));
    if (severity != Severity::info || self.pending_bytes > max_batch)
        flush();
}

bool flush(bool patient)
{
    Logger& self = logger();
    const std::lock_guard lock(self.mutex);
    int patience = patient ? 10 : 0;
    while (!self.pending.empty()) {
        if (send_block(self, self.pending.front())) {
            self.pending_bytes -= self.pending.front().size();
            self.pending.pop_front();
            continue;
        }
        if (patience-- <= 0)
            return false;
        pollfd wait{self.fd.get(), POLLOUT, 0};
        ::poll(&wait, 1, 10);
    }
    if (self.dropped != self.reported) {
        const auto lost = self.dropped - self.reported;
        self.reported = self.dropped;
        write(Severity::warning, fmt::format("{} log lines were lost: the log writer did not keep up", lost));
    }
    return self.pending.empty();
}

std::uint64_t dropped()
{
    return logger().dropped;
}
void set_verbosity(int level)
{
    logger().verbosity = level;
}
int verbosity()
{
    return logger().verbosity;
}

void trace(std::string_view text)
{
    if (logger().verbosity > 0)
        write(Severity::info, text);
}

} // namespace log

LogLine::LogLine(std::string_view queue_id)
{
    text_.assign(queue_id);
    text_ += ": ";
}

void LogLine::key(std::string_view name)
{
    if (!first_)
        text_ += ", ";
    first_ = false;
    text_ += name;
    text_ += '=';
}

LogLine& LogLine::operator()(std::string_view name, std::string_view value)
{
    key(name);
    text_ += printable(value, true);
    return *this;
}

LogLine& LogLine::operator()(std::string_view name, std::int64_t value)
{
    key(name);
    text_ += std::to_string(value);
    return *this;
}

LogLine& LogLine::address(std::string_view name, std::string_view text)
{
    key(name);
    text_ += '<';
    text_ += printable(text, true);
    text_ += '>';
    return *this;
}

LogLine& LogLine::note(std::string_view text)
{
    text_ += " (";
    text_ += printable(text, true);
    text_ += ')';
    return *this;
}

std::string format_delay(double seconds)
{
    if (seconds < 0)
        seconds = 0;
    // two significant digits, but never finer than 0.01 s
    int decimals = seconds >= 10 ? 0 : seconds >= 1 ? 1 : 2;
    std::string text = fmt::format("{:.{}f}", seconds, decimals);
    if (text.find('.') != std::string::npos) {
        while (text.back() == '0')
            text.pop_back();
        if (text.back() == '.')
            text.pop_back();
    }
    return text;
}

} // namespace bulkhead
