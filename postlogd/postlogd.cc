#include "postlogd.h"

#include "config/maillog.h"
#include "log/log.h"

#include <sys/stat.h>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr Milliseconds quiet_time{5000};
constexpr Milliseconds complaint_pause{1000}; // lost lines are reported at most this often

// A line that comes soon after another is one of many: those of the next moment are written
// together.  The kernel keeps only a few datagrams (net.unix.max_dgram_qlen): not longer.
constexpr Milliseconds soon{10};
constexpr Milliseconds gathering_time{2};

} // namespace

Postlogd::Postlogd() : quiet_timer_([this] { quiet_time_over(); }) {}

// Opened by root: the folder of the log is not the mail system's.
Result<> Postlogd::before_jail()
{
    const MaillogSettings settings = MaillogSettings::from(config());
    const mode_t old_mask = ::umask(022);
    const auto opened =
        open_maillog(settings, "postlogd", true, false); // our own lines, not by way of ourselves
    ::umask(old_mask);
    TRY_VOID(opened);
    if (!settings.file.empty()) {
        TRY(file_, LogFile::open(settings.file));
    }
    return {};
}

void Postlogd::datagrams(int fd)
{
    const std::span<iovec> pieces = reader_.read(fd);
    if (pieces.empty())
        return;
    append(pieces);
    saw_traffic();
    const SteadyTime now = SteadyClock::now();
    if (now - std::exchange(last_arrival_, now) < soon)
        pause_datagrams(gathering_time);
}

void Postlogd::append(std::span<iovec> pieces)
{
    if (file_.append(pieces))
        report_lost();
}

// While lines are being lost this one would be too.
void Postlogd::report_lost()
{
    const SteadyTime now = SteadyClock::now();
    if (now < next_complaint_)
        return;
    if (const auto lost = file_.take_lost(); lost > 0) {
        next_complaint_ = now + complaint_pause;
        log::warn(fmt::format("{} log lines were lost: {}", lost, file_.reason()));
    }
}

// One timer for any number of datagrams: it looks back when it fires.
void Postlogd::saw_traffic()
{
    traffic_ = true;
    if (busy_)
        return;
    busy_ = true;
    quiet_timer_.start(quiet_time);
    activity_changed();
}

void Postlogd::quiet_time_over()
{
    if (std::exchange(traffic_, false)) {
        quiet_timer_.start(quiet_time);
        return;
    }
    busy_ = false;
    report_lost();
    activity_changed();
}

Task<> Postlogd::serve(Session& session)
{
    for (;;) {
        const auto arrived = co_await session.stream.fill();
        if (!arrived)
            co_return;
        const std::string_view arrivals = session.stream.buffered();
        const auto last_end = arrivals.rfind('\n');
        if (last_end == std::string_view::npos && arrivals.size() < DatagramReader::datagram_limit)
            continue;
        std::string lines(
            arrivals.substr(0, last_end == std::string_view::npos ? arrivals.size() : last_end + 1));
        session.stream.consume(lines.size());
        lines.push_back('\0'); // room for a line end
        iovec piece{lines.data(), clean_lines(lines.data(), lines.size() - 1)};
        append({&piece, 1});
    }
}

} // namespace bulkhead
