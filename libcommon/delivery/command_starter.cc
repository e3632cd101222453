#include "delivery/command_starter.h"

#include "base/text.h"
#include "os/jail.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr std::size_t max_words = 4000;
constexpr rlim_t command_descriptors = 1024; // what programs that use select() can have
constexpr int first_free = 3;                // descriptors below are the command's

struct Request {
    std::string bytes;
    std::array<UniqueFd, 4> fds; // input, output, errors, link

    bool complete() const { return static_cast<bool>(fds.back()); }
};

// Everything below runs in the starter, a process with one thread.
class Starter
{
public:
    Starter(CommandStarter::Rules rules, UniqueFd link) : rules_(std::move(rules)), link_(std::move(link)) {}

    [[noreturn]] void run();

private:
    struct Running {
        pid_t pid;
        UniqueFd link;
    };

    bool take_request();
    std::optional<Request> receive(bool& closed);
    Result<pid_t> launch(const Command& command, const Request& request);
    [[noreturn]] void become_command(const Command& command, const Request& request);
    [[noreturn]] void give_up(std::string_view what, std::string_view name);
    bool may_become(const CommandIdentity& user) const;
    void collect_ended();
    void end_all();

    CommandStarter::Rules rules_;
    UniqueFd link_;
    std::vector<Running> running_;
};

void tell(int link, std::string_view text)
{
    (void)::send(link, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

std::vector<char*> pointers(const std::vector<std::string>& words)
{
    std::vector<char*> result;
    result.reserve(words.size() + 1);
    for (const std::string& word : words)
        result.push_back(const_cast<char*>(word.c_str()));
    result.push_back(nullptr);
    return result;
}

bool Starter::may_become(const CommandIdentity& user) const
{
    if (!rules_.only.empty() && std::ranges::find(rules_.only, user) == rules_.only.end())
        return false;
    if (std::ranges::find(rules_.refused_users, user.uid) != rules_.refused_users.end())
        return false;
    return user.uid != 0 && user.gid != 0 && user.uid != static_cast<uid_t>(-1) &&
           user.gid != static_cast<gid_t>(-1);
}

void Starter::give_up(std::string_view what, std::string_view name)
{
    const std::string text =
        fmt::format("{}: fatal: {} {}: {}\n", rules_.program, what, printable(name), std::strerror(errno));
    (void)!::write(STDERR_FILENO, text.data(), text.size());
    ::_exit(EX_TEMPFAIL);
}

void Starter::become_command(const Command& command, const Request& request)
{
    ::setsid(); // one kill() reaches all that it starts
    for (int fd = 0; fd < first_free; ++fd)
        if (::dup2(request.fds[static_cast<std::size_t>(fd)].get(), fd) < 0)
            ::_exit(EX_TEMPFAIL);
    ::close_range(first_free, ~0U, 0);
    for (int number = 1; number < SIGRTMIN; ++number)
        ::signal(number, SIG_DFL);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur > command_descriptors) {
        limit.rlim_cur = command_descriptors;
        ::setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (!command.root.empty() && ::chroot(command.root.c_str()) != 0)
        give_up("chroot", command.root);
    if (!command.root.empty() && ::chdir("/") != 0)
        give_up("change directory to", "/");
    const auto [uid, gid] = command.user;
    const bool is_root = ::geteuid() == 0;
    if (is_root &&
        (::setgroups(1, &gid) != 0 || ::setresgid(gid, gid, gid) != 0 || ::setresuid(uid, uid, uid) != 0))
        give_up("become user", std::to_string(uid));
    if (!command.directory.empty() && ::chdir(command.directory.c_str()) != 0)
        give_up("change directory to", command.directory);
    ::umask(077);
    // execvp() looks for the program in our own PATH.
    for (const std::string& variable : command.environment)
        if (variable.starts_with("PATH="))
            ::setenv("PATH", variable.c_str() + 5, 1);
    ::execvpe(command.words.front().c_str(), pointers(command.words).data(),
              pointers(command.environment).data());
    give_up("execvp", command.words.front());
}

Result<pid_t> Starter::launch(const Command& command, const Request& request)
{
    // Run by hand by an ordinary user it can become nobody else.
    if (::geteuid() == 0 && !may_become(command.user))
        return Error{Fault::refused,
                     fmt::format("no commands as user {} group {}", command.user.uid, command.user.gid)};
    const pid_t pid = ::fork();
    if (pid < 0)
        return system_error("fork");
    if (pid == 0)
        become_command(command, request);
    return pid;
}

std::optional<Request> Starter::receive(bool& closed)
{
    Request request;
    request.bytes.resize(CommandStarter::size_limit + 1);
    iovec part{request.bytes.data(), request.bytes.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 4)]{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t size = ::recvmsg(link_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    closed = size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR);
    if (size <= 0)
        return std::nullopt;
    request.bytes.resize(static_cast<std::size_t>(size));
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        const std::size_t count =
            std::min((header->cmsg_len - CMSG_LEN(0)) / sizeof(int), request.fds.size());
        for (std::size_t i = 0; i < count; ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
            request.fds[i].reset(fd);
        }
    }
    return request;
}

// False when the agent is gone.
bool Starter::take_request()
{
    bool closed = false;
    auto request = receive(closed);
    if (!request || !request->complete())
        return !closed;
    const int link = request->fds.back().get();
    const auto command = decode_command(request->bytes);
    if (!command) {
        tell(link, command.error().context);
        return true;
    }
    const auto pid = launch(*command, *request);
    if (!pid)
        tell(link, pid.error().context);
    else
        running_.push_back({*pid, std::move(request->fds.back())});
    return true;
}

void Starter::collect_ended()
{
    int status = 0;
    for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
        const auto found = std::ranges::find(running_, pid, &Running::pid);
        if (found == running_.end())
            continue;
        // What it left in the background stays: only a time limit or a dead agent ends that.
        tell(found->link.get(), std::string_view(reinterpret_cast<const char*>(&status), sizeof status));
        running_.erase(found);
    }
}

void Starter::end_all()
{
    for (const Running& command : running_)
        ::kill(-command.pid, SIGKILL);
}

void Starter::run()
{
    sigset_t children;
    ::sigemptyset(&children);
    ::sigaddset(&children, SIGCHLD);
    ::sigprocmask(SIG_BLOCK, &children, nullptr);
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGPIPE})
        ::signal(number, SIG_IGN); // it ends with the agent
    const UniqueFd ended(::signalfd(-1, &children, SFD_NONBLOCK | SFD_CLOEXEC));
    std::vector<pollfd> polled;
    for (;;) {
        polled.assign({{link_.get(), POLLIN, 0}, {ended.get(), POLLIN, 0}});
        for (const Running& command : running_)
            polled.push_back({command.link.get(), POLLIN, 0});
        if (::poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR)
            break;
        // Who waits for it has hung up: out of time.
        for (std::size_t i = 2; i < polled.size(); ++i)
            if (polled[i].revents != 0) {
                ::kill(-running_[i - 2].pid, SIGKILL);
                running_[i - 2].link.reset();
            }
        signalfd_siginfo info{};
        while (::read(ended.get(), &info, sizeof info) > 0) {
        }
        collect_ended();
        if (polled[0].revents != 0 && !take_request())
            break;
    }
    end_all();
    ::_exit(EX_OK);
}

Error too_long()
{
    return {Fault::limit, "command and environment are too long", E2BIG};
}

} // namespace

Result<std::string> encode_command(const Command& command)
{
    std::string bytes;
    const auto add = [&](std::string_view field) {
        bytes += field.substr(0, field.find('\0'));
        bytes += '\0';
    };
    add(std::to_string(command.user.uid));
    add(std::to_string(command.user.gid));
    add(command.root);
    add(command.directory);
    add(std::to_string(command.words.size()));
    for (const std::string& word : command.words)
        add(word);
    for (const std::string& variable : command.environment)
        add(variable);
    if (bytes.size() > CommandStarter::size_limit ||
        command.words.size() + command.environment.size() > max_words)
        return too_long();
    return bytes;
}

Result<Command> decode_command(std::string_view bytes)
{
    if (bytes.size() > CommandStarter::size_limit)
        return too_long();
    std::vector<std::string> fields;
    while (!bytes.empty()) {
        const std::size_t end = bytes.find('\0');
        if (end == bytes.npos || fields.size() > max_words + 5)
            return Error{Fault::malformed, "malformed command request"};
        fields.emplace_back(bytes.substr(0, end));
        bytes.remove_prefix(end + 1);
    }
    constexpr std::size_t fixed = 5;
    const auto number = [&](std::size_t i) { return parse_unsigned(fields[i]); };
    if (fields.size() <= fixed || !number(0) || !number(1) || !number(4) || *number(0) > ~uid_t{0} ||
        *number(1) > ~gid_t{0} || *number(4) == 0 || *number(4) > fields.size() - fixed)
        return Error{Fault::malformed, "malformed command request"};
    Command command;
    command.user = {static_cast<uid_t>(*number(0)), static_cast<gid_t>(*number(1))};
    command.root = fields[2];
    command.directory = fields[3];
    const auto words = fields.begin() + fixed;
    const auto variables = words + static_cast<std::ptrdiff_t>(*number(4));
    command.words.assign(words, variables);
    command.environment.assign(variables, fields.end());
    return command;
}

Result<CommandStarter> CommandStarter::create(Rules rules)
{
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return system_error("socketpair");
    CommandStarter starter{UniqueFd(ends[0])};
    UniqueFd theirs(ends[1]);
    const int size = 2 * static_cast<int>(size_limit);
    ::setsockopt(starter.link_.get(), SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    const pid_t pid = ::fork();
    if (pid < 0)
        return system_error("fork");
    if (pid > 0)
        return starter;

    // It has nothing of the agent's but the link.
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd < first_free; ++fd)
        ::dup2(null, fd);
    ::dup2(theirs.get(), first_free);
    ::fcntl(first_free, F_SETFD, FD_CLOEXEC);
    ::close_range(first_free + 1, ~0U, 0);
    (void)theirs.release();
    ::prctl(PR_SET_NAME, (rules.program + "-starter").substr(0, 15).c_str());
    if (!keep_rights_to_start_commands())
        ::_exit(EX_OSERR);
    Starter(std::move(rules), UniqueFd(first_free)).run();
}

Result<StartedCommand> CommandStarter::start(const Command& command, int input, int output, int errors) const
{
    TRY(std::string bytes, encode_command(command));
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return system_error("socketpair");
    StartedCommand started{UniqueFd(ends[0])};
    const UniqueFd theirs(ends[1]);
    const int fds[4] = {input, output, errors, theirs.get()};
    iovec part{bytes.data(), bytes.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof fds)]{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fds);
    std::memcpy(CMSG_DATA(header), fds, sizeof fds);
    if (::sendmsg(link_.get(), &message, MSG_NOSIGNAL) < 0)
        return system_error("ask for a command");
    return started;
}

Result<CommandEnd> StartedCommand::end()
{
    std::array<char, 1024> text{};
    const ssize_t size = ::recv(link_.get(), text.data(), text.size(), 0);
    if (size < 0)
        return system_error("wait for a command");
    if (size == 0)
        return Error{Fault::broken, "who starts commands is gone"};
    if (size != sizeof(int))
        return Error{Fault::refused, std::string(text.data(), static_cast<std::size_t>(size))};
    CommandEnd end;
    std::memcpy(&end.wait_status, text.data(), sizeof end.wait_status);
    return end;
}

void StartedCommand::kill()
{
    link_.reset();
}

} // namespace bulkhead
