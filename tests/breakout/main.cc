// A worker that a stranger has taken over, as far as a test can play one: it lives in the same jail as
// every other and does what its client tells it.  A line "ATTEMPT ARGUMENT" is tried in a child of its own
// and answered by one line: "no ERRNO", "no SIGNAL", or "yes" when the jail has a hole.
//
// Plain arguments of its line in master.cf name the class whose jail it has: "network" (smtp), "users"
// (virtual).
#include "base/text.h"
#include "worker/worker.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

// What an attempt found: 0, the hole is there; otherwise why not.
using Attempt = int (*)(const std::string& argument);

int outcome(long value)
{
    return value >= 0 ? 0 : errno;
}

int number(const std::string& text)
{
    return static_cast<int>(parse_unsigned(text).value_or(0));
}

int read_it(const std::string& path)
{
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK));
    char byte = 0;
    if (fd && ::read(fd.get(), &byte, 1) < 0 && errno != EISDIR)
        return errno;
    return outcome(fd.get());
}

int write_it(const std::string& path)
{
    return outcome(UniqueFd(::open(path.c_str(), O_WRONLY | O_NONBLOCK)).get());
}

int create_it(const std::string& path)
{
    return outcome(UniqueFd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0600)).get());
}

int connect_it(const std::string& path)
{
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), std::min(path.size(), sizeof address.sun_path - 1));
    int fault = 0;
    for (const int type : {SOCK_STREAM, SOCK_DGRAM}) {
        const UniqueFd fd(::socket(AF_UNIX, type, 0));
        if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
            return 0;
        if (errno != EPROTOTYPE)
            fault = errno;
    }
    return fault;
}

// "UID PATH": with the rights on files of another user.
int read_as(const std::string& argument)
{
    const auto space = argument.find(' ');
    ::setfsuid(static_cast<uid_t>(number(argument.substr(0, space))));
    return read_it(argument.substr(space + 1));
}

// "GID PATH"
int connect_as_group(const std::string& argument)
{
    const auto space = argument.find(' ');
    ::setfsgid(static_cast<gid_t>(number(argument.substr(0, space))));
    return connect_it(argument.substr(space + 1));
}

int signal_it(const std::string& pid)
{
    return outcome(::kill(number(pid), SIGCONT));
}

int signal_all(const std::string&)
{
    return outcome(::syscall(SYS_pidfd_send_signal, -1, SIGCONT, nullptr, 0));
}

int trace_it(const std::string& pid)
{
    return outcome(::ptrace(PTRACE_ATTACH, number(pid), nullptr, nullptr));
}

int read_memory(const std::string& pid)
{
    char byte = 0;
    const iovec here{&byte, 1};
    const iovec there{&byte, 1};
    return outcome(::process_vm_readv(number(pid), &here, 1, &there, 1, 0));
}

int take_descriptor(const std::string& pid)
{
    const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, number(pid), 0)));
    if (!process)
        return errno;
    return outcome(::syscall(SYS_pidfd_getfd, process.get(), 0, 0));
}

int become_user(const std::string& uid)
{
    const auto user = static_cast<uid_t>(number(uid));
    return outcome(::syscall(SYS_setresuid, user, user, user));
}

int become_group(const std::string& gid)
{
    const auto group = static_cast<gid_t>(number(gid));
    return outcome(::syscall(SYS_setresgid, group, group, group));
}

int join_group(const std::string& gid)
{
    const auto group = static_cast<gid_t>(number(gid));
    return outcome(::syscall(SYS_setgroups, 1, &group));
}

int raise_capabilities(const std::string&)
{
    struct {
        std::uint32_t version = 0x20080522;
        int pid = 0;
    } header;
    const std::array<std::uint32_t, 6> all{~0U, ~0U, 0, ~0U, ~0U, 0};
    return outcome(::syscall(SYS_capset, &header, all.data()));
}

int change_root(const std::string& path)
{
    return outcome(::chroot(path.c_str()));
}

int mount_it(const std::string& path)
{
    return outcome(::mount("none", path.c_str(), "tmpfs", 0, nullptr));
}

int new_namespace(const std::string&)
{
    return outcome(::unshare(CLONE_NEWUSER));
}

// The same by another way: as a part of fork.
int clone_namespace(const std::string&)
{
    const long child = ::syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
    if (child == 0)
        ::_exit(0);
    return outcome(child);
}

int clone3_namespace(const std::string&)
{
    std::array<std::uint64_t, 11> arguments{};
    arguments[0] = CLONE_NEWUSER;
    arguments[4] = SIGCHLD;
    const long child = ::syscall(SYS_clone3, arguments.data(), sizeof arguments);
    if (child == 0)
        ::_exit(0);
    return outcome(child);
}

int enter_namespace(const std::string& path)
{
    const UniqueFd fd(::open(path.c_str(), O_RDONLY));
    return outcome(::setns(fd.get(), 0));
}

int raw_socket(const std::string&)
{
    return outcome(UniqueFd(::socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)).get());
}

int packet_socket(const std::string&)
{
    return outcome(UniqueFd(::socket(AF_PACKET, SOCK_RAW, 0)).get());
}

int inet_socket(const std::string&)
{
    return outcome(UniqueFd(::socket(AF_INET, SOCK_STREAM, 0)).get());
}

int bind_port(const std::string& port)
{
    const UniqueFd fd(::socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(number(port)));
    return fd ? outcome(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address))
              : errno;
}

int execute(const std::string& path)
{
    std::string name = path;
    char* words[] = {name.data(), nullptr};
    return outcome(::execv(path.c_str(), words));
}

int make_device(const std::string& path)
{
    return outcome(::mknod(path.c_str(), S_IFCHR | 0600, ::makedev(1, 1)));
}

int load_program(const std::string&)
{
    return outcome(::syscall(SYS_bpf, 0, nullptr, 0));
}

int read_keys(const std::string&)
{
    return outcome(::syscall(SYS_keyctl, 0, -3, 0));
}

int open_by_handle(const std::string&)
{
    return outcome(::syscall(SYS_open_by_handle_at, AT_FDCWD, nullptr, O_RDONLY));
}

int set_host_name(const std::string& name)
{
    return outcome(::sethostname(name.data(), name.size()));
}

int set_clock(const std::string&)
{
    const timespec now{1, 0};
    return outcome(::clock_settime(CLOCK_REALTIME, &now));
}

int raise_limits(const std::string&)
{
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max += 1;
    return outcome(::setrlimit(RLIMIT_NOFILE, &limit));
}

// More than so many descriptors in one process.
int hoard_descriptors(const std::string& count)
{
    for (int i = 0; i < number(count); ++i)
        if (::dup(0) < 0)
            return errno;
    return 0;
}

// More than so many processes at once.
int hoard_processes(const std::string& count)
{
    std::array<int, 2> gate{};
    if (::pipe(gate.data()) != 0)
        return errno;
    int fault = 0;
    for (int i = 0; i < number(count) && fault == 0; ++i) {
        const long child = ::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr);
        if (child < 0)
            fault = errno;
        if (child != 0)
            continue;
        ::close(gate[1]);
        char byte = 0;
        ::_exit(static_cast<int>(::read(gate[0], &byte, 1)));
    }
    ::close(gate[1]);
    while (::wait(nullptr) > 0)
        continue;
    return fault;
}

struct Named {
    std::string_view name;
    Attempt attempt;
};

constexpr std::array attempts = {
    Named{"read", read_it},
    Named{"write", write_it},
    Named{"create", create_it},
    Named{"connect", connect_it},
    Named{"read-as", read_as},
    Named{"connect-as-group", connect_as_group},
    Named{"signal", signal_it},
    Named{"signal-by-descriptor", signal_all},
    Named{"trace", trace_it},
    Named{"read-memory", read_memory},
    Named{"take-descriptor", take_descriptor},
    Named{"become-user", become_user},
    Named{"become-group", become_group},
    Named{"join-group", join_group},
    Named{"raise-capabilities", raise_capabilities},
    Named{"chroot", change_root},
    Named{"mount", mount_it},
    Named{"new-namespace", new_namespace},
    Named{"clone-namespace", clone_namespace},
    Named{"clone3-namespace", clone3_namespace},
    Named{"enter-namespace", enter_namespace},
    Named{"raw-socket", raw_socket},
    Named{"packet-socket", packet_socket},
    Named{"inet-socket", inet_socket},
    Named{"bind-port", bind_port},
    Named{"execute", execute},
    Named{"make-device", make_device},
    Named{"load-program", load_program},
    Named{"read-keys", read_keys},
    Named{"open-by-handle", open_by_handle},
    Named{"set-host-name", set_host_name},
    Named{"set-clock", set_clock},
    Named{"raise-limits", raise_limits},
    Named{"hoard-descriptors", hoard_descriptors},
    Named{"hoard-processes", hoard_processes},
};

std::string try_in_child(Attempt attempt, const std::string& argument)
{
    const pid_t child = ::fork();
    if (child == 0)
        ::_exit(attempt(argument));
    int status = 0;
    if (child < 0 || ::waitpid(child, &status, 0) != child)
        return "broken: no child\n";
    if (WIFSIGNALED(status))
        return fmt::format("no SIG{}\n", ::sigabbrev_np(WTERMSIG(status)));
    if (WEXITSTATUS(status) != 0)
        return fmt::format("no {}\n", ::strerrorname_np(WEXITSTATUS(status)));
    return "yes\n";
}

std::string answer_to(std::string_view line)
{
    const auto space = std::min(line.find(' '), line.size());
    const auto found = std::ranges::find(attempts, line.substr(0, space), &Named::name);
    if (found == attempts.end())
        return "broken: no such attempt\n";
    return try_in_child(found->attempt, std::string(trim(line.substr(space))));
}

class Breakout final : public Worker
{
    ParamSet& params() override { return params_; }

    JailPolicy jail_policy() const override
    {
        JailPolicy policy;
        policy.network = std::ranges::count(arguments(), "network") > 0;
        const bool is_virtual = std::ranges::count(arguments(), "mailboxes") > 0;
        if (is_virtual || std::ranges::count(arguments(), "users") > 0)
            policy.keep = {Capability::become_user};
        if (is_virtual)
            policy.refused.users = {{0, 99}};
        return policy;
    }

    Task<> serve(bulkhead::Session& session) override
    {
        for (;;) {
            const auto line = co_await session.stream.read_line(4096);
            if (!line)
                co_return;
            session.stream.write(answer_to(trim(line->text)));
            const auto sent = co_await session.stream.flush();
            if (!sent)
                co_return;
        }
    }

    ParamSet params_;
};

} // namespace

} // namespace bulkhead

int main(int argc, char** argv)
{
    bulkhead::Breakout worker;
    return bulkhead::run_worker(worker, argc, argv);
}
