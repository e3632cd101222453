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
    "futex", "futex_waitv", "set_robust_list", "get_robust_list", "rseq", "clone3", "clone", "exit",
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

Result<> filter_system_calls(const JailPolicy& policy)
{
    const std::unique_ptr<void, void (*)(scmp_filter_ctx)> filter(::seccomp_init(SCMP_ACT_ERRNO(ENOSYS)),
                                                                  ::seccomp_release);
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
    // Which address families a socket may have is where the classes of workers differ.
    std::vector<int> families{AF_UNIX};
    if (policy.network || network_is_needed)
        families.insert(families.end(), {AF_INET, AF_INET6, AF_NETLINK});
    for (const int family : families) {
        const scmp_arg_cmp is_family{0, SCMP_CMP_EQ, static_cast<scmp_datum_t>(family), 0};
        if (::seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, is_family) != 0)
            return Error{Fault::io, "seccomp rule for socket failed"};
    }
    if (const int fault = ::seccomp_load(filter.get()); fault != 0)
        return system_error("seccomp_load", -fault);
    return {};
}

#else

Result<> filter_system_calls(const JailPolicy&)
{
    return {};
}

#endif

} // namespace

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
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
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
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 65536);
    ::setrlimit(RLIMIT_NOFILE, &limit);
    return static_cast<std::size_t>(limit.rlim_cur);
}

} // namespace bulkhead
