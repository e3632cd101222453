#include "spool_follow.h"

#include "base/text.h"
#include "base/unique_fd.h"
#include "queue_listing.h"
#include "spool/moves.h"
#include "spool/scan.h"
#include "spool_snapshot.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sysexits.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <set>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

using Clock = std::chrono::steady_clock;

constexpr auto poll_step = std::chrono::milliseconds(20);
constexpr int looks_before_gone = 3;       // a file between two queues may be missed once
constexpr std::int64_t log_tail = 1 << 20; // bytes of the log's past that are looked at
constexpr std::size_t log_block = 64 * 1024;
constexpr std::size_t max_seen_files = 1'000'000;

// New lines of a log file, from its last megabyte on.
class LogTail
{
public:
    explicit LogTail(const std::string& path)
    {
        if (path.empty() || path.starts_with("/dev/"))
            return;
        fd_.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
        struct stat st{};
        if (fd_ && ::fstat(fd_.get(), &st) == 0 && st.st_size > log_tail)
            ::lseek(fd_.get(), st.st_size - log_tail, SEEK_SET);
    }

    template <typename See> void read_lines(See see)
    {
        char block[log_block];
        for (ssize_t n = 0; fd_ && (n = ::read(fd_.get(), block, sizeof block)) > 0;) {
            rest_.append(block, static_cast<std::size_t>(n));
            std::size_t begin = 0;
            for (std::size_t end = 0; (end = rest_.find('\n', begin)) != std::string::npos; begin = end + 1)
                see(std::string_view(rest_).substr(begin, end - begin));
            rest_.erase(0, begin);
            if (rest_.size() > log_block)
                rest_.clear();
        }
    }

private:
    UniqueFd fd_;
    std::string rest_;
};

std::string time_stamp(std::int64_t seconds)
{
    const std::time_t time = seconds;
    std::tm local{};
    ::localtime_r(&time, &local);
    char text[64];
    const std::size_t size = std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local);
    return std::string(text, size);
}

std::string now_stamp()
{
    const WallTime now = WallTime::now();
    return fmt::format("{}.{:03}", time_stamp(now.seconds), now.microseconds / 1000);
}

std::string without_brackets(std::string_view id)
{
    if (id.starts_with('<') && id.ends_with('>'))
        id = id.substr(1, id.size() - 2);
    return std::string(id);
}

// The message in one environment.
class Follower
{
public:
    Follower(const SpoolEnvironment& environment, const std::string& wanted)
        : environment_(environment), log_(environment.log_file)
    {
        auto id = QueueId::parse(wanted);
        if (id)
            id_ = std::move(*id);
        else
            message_id_ = without_brackets(wanted);
    }

    // Looks once; prints what has changed.
    void look()
    {
        read_log();
        const std::string state = current_state();
        if (state.empty()) {
            if (!state_.empty() && ++missed_ >= looks_before_gone)
                end();
            return;
        }
        missed_ = 0;
        was_seen_ = true;
        if (state != state_)
            say(state);
        state_ = state;
    }

    bool is_gone() const { return gone_; }
    bool was_seen() const { return was_seen_; }

private:
    void say(std::string_view text) const
    {
        fmt::print("{} {} {} {}\n", now_stamp(), environment_.name, id_.empty() ? "?" : id_.text(), text);
        std::fflush(stdout);
    }

    void end()
    {
        read_log();
        say("has left the spool");
        gone_ = true;
    }

    void read_log()
    {
        bool removed = false;
        log_.read_lines([&](std::string_view line) {
            if (id_.empty() && !message_id_.empty() && line.find(message_id_) != std::string_view::npos) {
                auto id = QueueId::parse(queue_id_of_line(line));
                if (id && line.find("NOQUEUE") == std::string_view::npos)
                    id_ = std::move(*id);
            }
            if (id_.empty() || !mentions(line, id_.text()))
                return;
            fmt::print("  log: {}\n", printable(line, true));
            removed = removed || line.ends_with(fmt::format("{}: removed", id_.text()));
        });
        std::fflush(stdout);
        // it may have been through between two looks
        if (removed && state_.empty() && !gone_ && !find_file()) {
            was_seen_ = true;
            say("has left the spool");
            gone_ = true;
        }
    }

    std::optional<LocatedFile> find_file()
    {
        if (id_.empty())
            return std::nullopt;
        auto found = locate(environment_.spool, message_queues, id_);
        return found ? std::move(*found) : std::nullopt;
    }

    // Reads files that were not there at the last look until one has the Message-ID.
    void search_message_id()
    {
        for (const Queue queue : message_queues) {
            const auto see = [&](const SnapshotMessage& message) {
                if (id_.empty() && without_brackets(message.shown.message_id) == message_id_)
                    if (auto id = QueueId::parse(message.shown.queue_id))
                        id_ = std::move(*id);
            };
            if (id_.empty() && has_new_files(queue))
                (void)read_queue(environment_.spool, queue, true, see);
        }
    }

    bool has_new_files(Queue queue)
    {
        bool found = false;
        auto scan = QueueScan::open(environment_.spool, queue);
        while (scan && seen_.size() < max_seen_files) {
            const auto entry = scan->next();
            if (!entry || !*entry)
                break;
            if (!(*entry)->is_unfinished() && seen_.insert((*entry)->id.text()).second)
                found = true;
        }
        return found;
    }

    // "" when there is no such file now.
    std::string current_state()
    {
        if (id_.empty())
            search_message_id();
        const auto file = find_file();
        if (!file)
            return {};
        const auto message = read_located_message(environment_.spool, file->queue, id_, file->path);
        if (!message)
            return {};
        return describe(*message);
    }

    static std::string describe(const SnapshotMessage& message)
    {
        const ipc::ShownMessage& shown = message.shown;
        if (!message.problem.empty())
            return fmt::format("{}: {}", shown.queue_name, message.problem);
        std::string text = shown.queue_name;
        if (shown.queue_name == "deferred")
            text += fmt::format(", next attempt {}", time_stamp(message.modified));
        text += fmt::format(", {} recipient{} to do", shown.recipients.size(),
                            shown.recipients.size() == 1 ? "" : "s");
        constexpr std::size_t shown_at_most = 5;
        for (std::size_t i = 0; i < std::min(shown.recipients.size(), shown_at_most); ++i) {
            const ipc::ShownRecipient& recipient = shown.recipients[i];
            text += fmt::format(" <{}>", shown_address(recipient.address, ""));
            if (!recipient.reason.empty())
                text += fmt::format(" ({})", printable(recipient.reason, true));
        }
        return text;
    }

    const SpoolEnvironment& environment_;
    LogTail log_;
    QueueId id_;             // empty until the Message-ID was found
    std::string message_id_; // without brackets
    std::string state_;
    std::set<std::string, std::less<>> seen_;
    int missed_ = 0;
    bool was_seen_ = false;
    bool gone_ = false;
};

bool is_word(char c)
{
    return is_alpha(c) || is_digit(c) || c == '_';
}

} // namespace

bool mentions(std::string_view line, std::string_view id)
{
    for (std::size_t at = 0; !id.empty() && (at = line.find(id, at)) != std::string_view::npos; ++at) {
        const std::size_t end = at + id.size();
        if ((at == 0 || !is_word(line[at - 1])) && (end == line.size() || !is_word(line[end])))
            return true;
    }
    return false;
}

std::string_view queue_id_of_line(std::string_view line)
{
    const std::size_t tag_end = line.find("]: ");
    if (tag_end == std::string_view::npos)
        return {};
    const std::string_view text = line.substr(tag_end + 3);
    const std::string_view id = text.substr(0, text.find(": "));
    return id.size() < text.size() && QueueId::is_valid(id) ? id : std::string_view{};
}

int follow_message(std::span<const SpoolEnvironment> environments, const std::string& wanted,
                   std::optional<std::chrono::milliseconds> timeout)
{
    const auto deadline = Clock::now() + timeout.value_or(std::chrono::hours(24 * 365));
    std::vector<Follower> followers;
    for (const SpoolEnvironment& environment : environments)
        followers.emplace_back(environment, wanted);
    for (;;) {
        for (Follower& follower : followers)
            follower.look();
        // an id is of one environment; a Message-ID may pass through several
        const auto waiting = [](const Follower& f) { return f.was_seen() && !f.is_gone(); };
        const bool ended =
            std::any_of(followers.begin(), followers.end(), [](const Follower& f) { return f.is_gone(); }) &&
            std::none_of(followers.begin(), followers.end(), waiting);
        if (ended)
            return 0;
        if (Clock::now() >= deadline)
            break;
        const timespec pause{0, std::chrono::nanoseconds(poll_step).count()};
        ::nanosleep(&pause, nullptr);
    }
    const bool seen =
        std::any_of(followers.begin(), followers.end(), [](const Follower& f) { return f.was_seen(); });
    fmt::print(stderr, "bulkhead: {}: {} when the time was up\n", printable(wanted, true),
               seen ? "still in the spool" : "not seen in the spool");
    return EX_TEMPFAIL;
}

} // namespace bulkhead
