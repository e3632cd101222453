#include "delivery/command_run.h"

#include "base/text.h"
#include "mail/dsn.h"
#include "os/files.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <limits>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

struct Pipe {
    UniqueFd read;
    UniqueFd write;

    static Result<Pipe> make()
    {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0)
            return system_error("pipe");
        return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
    }
};

Error stopped(Fault fault)
{
    return {fault, "the command takes no more"};
}

// The three descriptors of a running command, until its time is over.
class Watch
{
public:
    Watch(StartedCommand& command, UniqueFd input, UniqueFd output, Seconds limit)
        : command_(command), input_(std::move(input)), output_(std::move(output)),
          deadline_(SteadyClock::now() + limit)
    {
    }

    // Fault::closed: it reads no more.  Fault::timeout: its time is over.
    Result<> feed(std::string_view bytes)
    {
        while (!bytes.empty()) {
            const ssize_t written = ::write(input_.get(), bytes.data(), bytes.size());
            if (written > 0)
                bytes.remove_prefix(static_cast<std::size_t>(written));
            else if (errno == EPIPE)
                return stopped(Fault::closed);
            else if (errno != EAGAIN && errno != EINTR)
                return system_error("write to a command");
            else
                TRY_VOID(wait());
            if (ended_)
                return stopped(Fault::closed);
        }
        return {};
    }

    void end_of_input() { input_.reset(); }

    // Until it has ended; then what it has said by now is read.
    Result<> wait_for_end()
    {
        while (!ended_)
            TRY_VOID(wait());
        read_output();
        return {};
    }

    std::string take_said() { return std::move(said_); }

private:
    Result<> wait()
    {
        const auto left =
            std::chrono::duration_cast<Milliseconds>(deadline_ - SteadyClock::now()).count() + 1;
        if (left <= 0)
            return stopped(Fault::timeout);
        std::array<pollfd, 3> polled{
            {{command_.fd(), POLLIN, 0}, {output_.get(), POLLIN, 0}, {input_.get(), POLLOUT, 0}}};
        const int wait_for = static_cast<int>(std::min<std::int64_t>(left, std::numeric_limits<int>::max()));
        if (::poll(polled.data(), polled.size(), wait_for) < 0 && errno != EINTR)
            return system_error("poll");
        if (polled[1].revents != 0)
            read_output();
        ended_ = polled[0].revents != 0;
        return {};
    }

    void read_output()
    {
        std::array<char, 4096> block;
        for (;;) {
            const ssize_t size = ::read(output_.get(), block.data(), block.size());
            if (size <= 0) {
                if (size == 0)
                    output_.reset(); // poll() passes over it
                return;
            }
            said_.append(block.data(),
                         std::min(static_cast<std::size_t>(size), command_output_limit - said_.size()));
        }
    }

    StartedCommand& command_;
    UniqueFd input_;
    UniqueFd output_;
    SteadyTime deadline_;
    std::string said_;
    bool ended_ = false;
};

struct ExitText {
    int status;
    std::string_view dsn;
    std::string_view text;
};

constexpr std::array exit_texts = {
    ExitText{EX_USAGE, "5.3.0", "command line usage error"},
    ExitText{EX_DATAERR, "5.6.0", "data format error"},
    ExitText{EX_NOINPUT, "5.3.0", "cannot open input"},
    ExitText{EX_NOUSER, "5.1.1", "user unknown"},
    ExitText{EX_NOHOST, "5.1.2", "host name unknown"},
    ExitText{EX_UNAVAILABLE, "5.3.0", "service unavailable"},
    ExitText{EX_SOFTWARE, "5.3.0", "internal software error"},
    ExitText{EX_OSERR, "4.3.0", "system resource problem"},
    ExitText{EX_OSFILE, "5.3.0", "critical OS file missing"},
    ExitText{EX_CANTCREAT, "5.2.0", "can't create user output file"},
    ExitText{EX_IOERR, "5.3.0", "input/output error"},
    ExitText{EX_TEMPFAIL, "4.3.0", "temporary failure"},
    ExitText{EX_PROTOCOL, "5.5.0", "remote error in protocol"},
    ExitText{EX_NOPERM, "5.7.0", "permission denied"},
    ExitText{EX_CONFIG, "5.3.5", "local configuration error"},
};

// Line ends become blanks, as log lines show them.
std::string one_line(std::string_view output)
{
    std::string line = printable(output, true);
    for (std::size_t i = 0; i < output.size() && line.size() == output.size(); ++i)
        if (output[i] == '\n')
            line[i] = ' ';
    return line;
}

CommandVerdict verdict(std::string_view dsn, std::string text)
{
    return {dsn.front() == '4' ? CommandVerdict::Kind::try_later : CommandVerdict::Kind::failed,
            std::string(dsn), std::move(text)};
}

} // namespace

Result<CommandResult> run_command(const CommandStarter& starter, const CommandRun& run)
{
    TRY(Pipe input, Pipe::make());
    TRY(Pipe output, Pipe::make());
    TRY(StartedCommand command,
        starter.start(run.command, input.read.get(), output.write.get(), output.write.get()));
    input.read.reset();
    output.write.reset();
    TRY_VOID(set_nonblocking(input.write.get()));
    TRY_VOID(set_nonblocking(output.read.get()));
    Watch watch(command, std::move(input.write), std::move(output.read), run.time_limit);

    auto fed = run.message.write_to([&](std::string_view block) { return watch.feed(block); }, run.form);
    // Some commands know enough before they have read all.
    if (!fed && fed.error().fault == Fault::closed)
        fed = {};
    watch.end_of_input();
    if (fed)
        fed = watch.wait_for_end();
    CommandResult result;
    if (!fed) {
        command.kill();
        if (fed.error().fault != Fault::timeout)
            return fed.error();
        result.timed_out = true;
    } else {
        TRY(const CommandEnd end, command.end());
        result.wait_status = end.wait_status;
    }
    result.output = watch.take_said();
    return result;
}

CommandVerdict verdict_of(const CommandResult& result, std::string_view shown_command)
{
    const std::string said = one_line(result.output);
    const std::string output = said.empty() ? "" : ". Command output: " + said;
    if (result.timed_out)
        return verdict("5.3.0", fmt::format("Command time limit exceeded: \"{}\"{}", shown_command, output));
    if (WIFSIGNALED(result.wait_status))
        return verdict("4.3.0", fmt::format("Command died with signal {}: \"{}\"{}",
                                            WTERMSIG(result.wait_status), shown_command, output));
    const int status = WEXITSTATUS(result.wait_status);
    if (status == EX_OK)
        return {CommandVerdict::Kind::delivered, "2.0.0", {}};
    if (const auto [code, rest] = split_status(said); code && code->status_class != 2)
        return verdict(code->text(), std::string(trim(rest)));
    const auto known = std::ranges::find(exit_texts, status, &ExitText::status);
    if (known != exit_texts.end())
        return verdict(known->dsn, std::string(known->text) + output);
    return verdict("5.3.0",
                   fmt::format("Command died with status {}: \"{}\"{}", status, shown_command, output));
}

} // namespace bulkhead
