#include "os/jail.h"

#include "base/text.h"

#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>

#include <fmt/format.h>

namespace bulkhead
{

Result<UserIds> find_user(const std::string& name)
{
    errno = 0;
    const passwd* entry = ::getpwnam(name.c_str());
    if (!entry)
        return Error{Fault::config, fmt::format("unknown user: {}", name), errno};
    return UserIds{name, entry->pw_uid, entry->pw_gid};
}

Result<gid_t> find_group(const std::string& name)
{
    errno = 0;
    const group* entry = ::getgrnam(name.c_str());
    if (!entry)
        return Error{Fault::config, fmt::format("unknown group: {}", name), errno};
    return entry->gr_gid;
}

namespace
{

bool network_is_needed = false;

// Enough for the sessions of one process, and what one may hold of the system's.
constexpr rlim_t most_descriptors = 65536;

cap_value_t kernel_value(Capability capability)
{
    return capability == Capability::become_user ? CAP_SETUID : CAP_NET_BIND_SERVICE;
}

std::vector<cap_value_t> kernel_values(const std::vector<Capability>& keep)
{
    std::vector<cap_value_t> values;
    for (const Capability capability : keep) {
        values.push_back(kernel_value(capability));
        if (capability == Capability::become_user)
            values.push_back(CAP_SETGID);
    }
    return values;
}

Result<> set_capabilities(const std::vector<cap_value_t>& keep)
{
    const std::unique_ptr<_cap_struct, int (*)(void*)> caps(::cap_init(), ::cap_free);
    if (!keep.empty() &&
        (::cap_set_flag(caps.get(), CAP_PERMITTED, static_cast<int>(keep.size()), keep.data(), CAP_SET) !=
             0 ||
         ::cap_set_flag(caps.get(), CAP_EFFECTIVE, static_cast<int>(keep.size()), keep.data(), CAP_SET) != 0))
        return system_error("cap_set_flag");
    if (::cap_set_proc(caps.get()) != 0)
        return system_error("cap_set_proc");
    return {};
}

// The bounding set goes first: it needs CAP_SETPCAP.
Result<> drop_bounding_set(const std::vector<cap_value_t>& keep)
{
    for (cap_value_t capability = 0; CAP_IS_SUPPORTED(capability); ++capability)
        if (std::ranges::find(keep, capability) == keep.end() && ::cap_drop_bound(capability) != 0)
            return system_error("cap_drop_bound");
    return {};
}

Result<> become(const UserIds& user, const std::vector<cap_value_t>& keep)
{
    TRY_VOID(drop_bounding_set(keep));
    if (!keep.empty() && ::prctl(PR_SET_KEEPCAPS, 1) != 0)
        return system_error("prctl PR_SET_KEEPCAPS");
    if (::setgroups(1, &user.gid) != 0)
        return system_error("setgroups");
    if (::setresgid(user.gid, user.gid, user.gid) != 0)
        return system_error("setresgid");
    if (::setresuid(user.uid, user.uid, user.uid) != 0)
        return system_error("setresuid");
    TRY_VOID(set_capabilities(keep));
    if (::geteuid() == 0 || ::getuid() == 0)
        return Error{Fault::refused, fmt::format("user {} is root", user.name)};
    return {};
}

#ifndef BULKHEAD_SANITIZED // the sanitizers' own run-time needs ptrace and more

// System calls of every worker: memory, threads, clocks, files of its spool,
// sockets that it has.  A call that is not on the list fails with ENOSYS, one
// that only an attacker needs ends the process.
// clang-format off
constexpr std::array allowed_calls = {
    "read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "preadv2", "pwritev",
    "pwritev2", "lseek", "close", "close_range", "dup", "dup2", "dup3", "fcntl", "ioctl", "open",
    "openat", "stat", "lstat", "fstat", "newfstatat", "statx", "fstatfs", "statfs", "access",
    "faccessat", "faccessat2", "getdents64", "getdents", "getcwd", "chdir", "fchdir", "readlink",
    "readlinkat", "rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat", "mkdir",
    "mkdirat", "rmdir", "chmod", "fchmod", "fchmodat", "chown", "fchown", "fchownat", "lchown",
    "utimensat", "utimes", "utime", "futimesat", "truncate", "ftruncate", "fallocate", "flock", "fsync",
    "fdatasync", "sync_file_range", "copy_file_range", "sendfile", "umask", "pipe", "pipe2", "eventfd2",
    "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "poll",
    "ppoll", "select", "pselect6", "timerfd_create", "timerfd_settime", "timerfd_gettime", "accept",
    "accept4", "bind", "connect", "listen", "socket", "socketpair", "getsockname", "getpeername",
    "getsockopt", "setsockopt", "recv", "recvfrom", "recvmsg", "recvmmsg", "send", "sendto", "sendmsg",
    "sendmmsg", "shutdown", "brk", "mmap", "munmap", "mremap", "mprotect", "madvise", "membarrier",
    "futex", "futex_waitv", "set_robust_list", "get_robust_list", "rseq", "exit",
    "exit_group", "set_tid_address", "arch_prctl", "sched_yield", "sched_getaffinity", "sched_getparam",
    "sched_getscheduler", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait",
    "rt_sigsuspend", "sigaltstack", "signalfd4", "kill", "tgkill", "gettid", "getpid", "getppid",
    "getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getgroups", "setfsuid",
    "setfsgid", "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time",
    "times", "getrusage", "getitimer", "setitimer", "alarm", "getrandom", "uname", "sysinfo",
    "getrlimit", "prlimit64", "setrlimit", "prctl", "restart_syscall", "wait4", "waitid", "capget",
    "memfd_create",
};

constexpr std::array deadly_calls = {
    "execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "mount", "umount2",
    "pivot_root", "chroot", "setns", "unshare", "init_module", "finit_module", "delete_module",
    "kexec_load", "bpf", "keyctl", "add_key", "request_key", "reboot", "swapon", "swapoff",
    "personality", "userfaultfd", "perf_event_open", "open_by_handle_at",
};
// clang-format on

// With one of these flags a thread or a child begins in a namespace of its own, where it has all rights.
// clone3 has its flags where a filter cannot look; who gets ENOSYS there uses clone.
constexpr scmp_datum_t namespace_flags =
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

using Filter = std::unique_ptr<void, void (*)(scmp_filter_ctx)>;

Result<> load(const Filter& filter)
{
    if (const int fault = ::seccomp_load(filter.get()); fault != 0)
        return system_error("seccomp_load", -fault);
    return {};
}

// setfsuid and setfsgid answer EPERM for these ids.  A filter compares whole blocks of ids, of 2^n, as
// networks are compared; the upper half of the register is not looked at by the kernel, nor by us.
Result<> refuse_ids(const Filter& filter, int call, const std::vector<IdRange>& ranges)
{
    for (const IdRange& range : ranges) {
        std::uint64_t next = range.first;
        while (next <= range.last) {
            std::uint64_t size = next == 0 ? std::uint64_t{1} << 31 : next & ~(next - 1);
            while (next + size - 1 > range.last)
                size /= 2;
            const scmp_arg_cmp is_inside{0, SCMP_CMP_MASKED_EQ, 0xffffffff & ~(size - 1), next};
            if (::seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), call, 1, is_inside) != 0)
                return Error{Fault::io, "seccomp rule for setfsuid failed"};
            next += size;
        }
    }
    return {};
}

// A filter of its own: of two filters the stricter answer counts.
Result<> filter_identities(const RefusedIds& refused)
{
    if (refused.users.empty() && refused.groups.empty())
        return {};
    const Filter filter(::seccomp_init(SCMP_ACT_ALLOW), ::seccomp_release);
    if (!filter)
        return Error{Fault::io, "seccomp_init failed"};
    TRY_VOID(refuse_ids(filter, SCMP_SYS(setfsuid), refused.users));
    TRY_VOID(refuse_ids(filter, SCMP_SYS(setfsgid), refused.groups));
    return load(filter);
}

Result<> filter_system_calls(const JailPolicy& policy)
{
    TRY_VOID(filter_identities(policy.refused));
    const Filter filter(::seccomp_init(SCMP_ACT_ERRNO(ENOSYS)), ::seccomp_release);
    if (!filter)
        return Error{Fault::io, "seccomp_init failed"};
    const auto add = [&](std::uint32_t action, const char* name) {
        const int number = ::seccomp_syscall_resolve_name(name);
        return number == __NR_SCMP_ERROR || ::seccomp_rule_add(filter.get(), action, number, 0) == 0;
    };
    for (const char* name : allowed_calls)
        if (std::string_view(name) != "socket" && !add(SCMP_ACT_ALLOW, name))
            return Error{Fault::io, fmt::format("seccomp rule for {} failed", name)};
    for (const char* name : deadly_calls)
        if (!add(SCMP_ACT_KILL_PROCESS, name))
            return Error{Fault::io, fmt::format("seccomp rule for {} failed", name)};
    const scmp_arg_cmp is_plain{0, SCMP_CMP_MASKED_EQ, namespace_flags, 0};
    if (::seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, is_plain) != 0)
        return Error{Fault::io, "seccomp rule for clone failed"};
    // Which address families a socket may have is where the classes of workers differ.
    std::vector<int> families{AF_UNIX};
    if (policy.network || network_is_needed)
        families.insert(families.end(), {AF_INET, AF_INET6, AF_NETLINK});
    for (const int family : families) {
        const scmp_arg_cmp is_family{0, SCMP_CMP_EQ, static_cast<scmp_datum_t>(family), 0};
        if (::seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, is_family) != 0)
            return Error{Fault::io, "seccomp rule for socket failed"};
    }
    return load(filter);
}

#else

Result<> filter_system_calls(const JailPolicy&)
{
    return {};
}

#endif

// For good: nobody without CAP_SYS_RESOURCE raises a hard limit.
void set_limits(const Jail& jail)
{
    const auto fix = [](auto which, rlim_t most) {
        rlimit limit{};
        ::getrlimit(which, &limit);
        limit.rlim_max = std::min(limit.rlim_max, most);
        limit.rlim_cur = std::min(limit.rlim_cur, most);
        ::setrlimit(which, &limit);
    };
    fix(RLIMIT_CORE, 0);
    fix(RLIMIT_NOFILE, most_descriptors);
    if (jail.user && jail.policy.task_limit > 0)
        fix(RLIMIT_NPROC, jail.policy.task_limit);
}

std::optional<IdRange> parse_range(std::string_view text)
{
    const auto dash = text.find('-');
    const auto first = parse_unsigned(text.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : parse_unsigned(text.substr(dash + 1));
    if (!first || !last || *last > 0xffffffff || *first > *last)
        return std::nullopt;
    return IdRange{static_cast<std::uint32_t>(*first), static_cast<std::uint32_t>(*last)};
}

std::vector<IdRange> except(const std::vector<IdRange>& ranges, std::uint32_t id)
{
    std::vector<IdRange> result;
    for (const IdRange& range : ranges) {
        if (id < range.first || id > range.last) {
            result.push_back(range);
            continue;
        }
        if (id > range.first)
            result.push_back({range.first, id - 1});
        if (id < range.last)
            result.push_back({id + 1, range.last});
    }
    return result;
}

} // namespace

Result<RefusedIds> RefusedIds::parse(std::string_view text)
{
    RefusedIds ids;
    for (const std::string_view word : split(text, " ")) {
        const auto range = word.empty() ? std::nullopt : parse_range(word.substr(1));
        if (!range || (word[0] != 'u' && word[0] != 'g'))
            return Error{Fault::malformed, fmt::format("not a range of ids: {}", printable(word))};
        (word[0] == 'u' ? ids.users : ids.groups).push_back(*range);
    }
    return ids;
}

RefusedIds RefusedIds::without(std::uint32_t user, std::uint32_t group) const
{
    return {except(users, user), except(groups, group)};
}

void allow_network_in_jail()
{
    network_is_needed = true;
}

Result<> enter_jail(const Jail& jail)
{
    if (::chdir(jail.directory.c_str()) != 0)
        return system_error("chdir " + jail.directory);
    if (jail.change_root && ::chroot(".") != 0)
        return system_error("chroot " + jail.directory);
    if (jail.user)
        TRY_VOID(become(*jail.user, kernel_values(jail.policy.keep)));
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return system_error("prctl PR_SET_NO_NEW_PRIVS");
    if (::prctl(PR_SET_DUMPABLE, 0) != 0)
        return system_error("prctl PR_SET_DUMPABLE");
    // A change of user has cleared it: die with the master, whatever happens to it.
    if (jail.user && ::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        return system_error("prctl PR_SET_PDEATHSIG");
    set_limits(jail);
    return filter_system_calls(jail.policy);
}

Result<> keep_rights_to_start_commands()
{
    if (::geteuid() != 0)
        return {};
    TRY_VOID(set_capabilities({CAP_SETUID, CAP_SETGID, CAP_KILL, CAP_SYS_CHROOT}));
    if (::prctl(PR_SET_DUMPABLE, 0) != 0)
        return system_error("prctl PR_SET_DUMPABLE");
    return {};
}

std::size_t raise_descriptor_limit()
{
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 64;
    limit.rlim_cur = std::min(limit.rlim_max, most_descriptors);
    ::setrlimit(RLIMIT_NOFILE, &limit);
    return static_cast<std::size_t>(limit.rlim_cur);
}

} // namespace bulkhead
