// postlock: runs a command while a mailbox file is locked, for scripts that work on
// mailboxes beside the mail system.
#include "base/unique_fd.h"
#include "command.h"
#include "config/values.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>

#include <algorithm>
#include <cstdio>
#include <vector>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr std::string_view usage_text =
    "usage: postlock [-c config_dir] [-l lock_style] [-v] folder command...";

constexpr std::string_view help_text = R"(postlock: runs a command while a mailbox is locked.

  postlock [-v] [-c DIR] [-l STYLE] FILE COMMAND [ARGUMENT...]

STYLE: any of fcntl, flock, dotlock, commas between; default mailbox_delivery_lock.
How often it tries: deliver_lock_attempts, deliver_lock_delay, stale_lock_time.

Exit codes: that of COMMAND, 1 when it was killed or cannot be run; 75 when the lock cannot
be had.
)";

struct Styles {
    bool fcntl = false;
    bool flock = false;
    bool dotlock = false;
};

Result<Styles> parse_styles(const std::vector<std::string>& names)
{
    Styles styles;
    for (const std::string& name : names) {
        if (name == "fcntl")
            styles.fcntl = true;
        else if (name == "flock")
            styles.flock = true;
        else if (name == "dotlock")
            styles.dotlock = true;
        else
            return Error{Fault::config, "unknown lock style: " + name};
    }
    return styles;
}

// FILE.lock, there as long as this lives.
class DotLock
{
public:
    static Result<DotLock> take(const std::string& file, std::int64_t stale_after)
    {
        const std::string path = file + ".lock";
        struct stat st{};
        if (::lstat(path.c_str(), &st) == 0 && st.st_mtime + stale_after < ::time(nullptr))
            ::unlink(path.c_str());
        const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
        if (!fd)
            return system_error("create " + path);
        return DotLock(path);
    }
    DotLock(DotLock&& other) noexcept : path_(std::exchange(other.path_, {})) {}
    ~DotLock()
    {
        if (!path_.empty())
            ::unlink(path_.c_str());
    }

private:
    explicit DotLock(std::string path) : path_(std::move(path)) {}
    std::string path_;
};

bool lock_record(int fd)
{
    struct flock whole{};
    whole.l_type = F_WRLCK;
    whole.l_whence = SEEK_SET;
    return ::fcntl(fd, F_SETLK, &whole) == 0;
}

int run_command(const Command& command, char** words)
{
    const pid_t child = ::fork();
    if (child < 0)
        return command.fail(EX_TEMPFAIL, system_error("fork").context);
    if (child == 0) {
        ::execvp(words[0], words);
        fmt::print(stderr, "postlock: fatal: {}\n", system_error(fmt::format("exec {}", words[0])).context);
        ::_exit(1);
    }
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

struct Patience {
    std::int64_t attempts = 20;
    std::int64_t delay = 1;       // seconds
    std::int64_t stale_after = 0; // seconds
};

// Locks in one order, dotlock last; gives all back before the next try.
int locked(const Command& command, const Styles& styles, const Patience& patience, char** words)
{
    const std::string file = words[0];
    Error last(Fault::refused, "no attempt allowed");
    for (std::int64_t attempt = 0; attempt < patience.attempts; ++attempt) {
        if (attempt > 0)
            ::sleep(static_cast<unsigned>(patience.delay));
        const UniqueFd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
        if (!fd)
            return command.fail(EX_TEMPFAIL, system_error("open " + file).context);
        if ((styles.flock && ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) ||
            (styles.fcntl && !lock_record(fd.get()))) {
            last = system_error("lock " + file);
            continue;
        }
        if (!styles.dotlock)
            return run_command(command, words + 1);
        const auto dot = DotLock::take(file, patience.stale_after);
        if (dot)
            return run_command(command, words + 1);
        last = dot.error();
    }
    return command.fail(EX_TEMPFAIL, last.context);
}

int run(int argc, char** argv)
{
    const Command command("postlock");
    if (argc == 2 && std::string_view(argv[1]) == "--help") {
        std::fwrite(help_text.data(), 1, help_text.size(), stdout);
        return 0;
    }
    std::optional<std::string> directory;
    std::optional<std::string> style;
    ::opterr = 0;
    for (int option = 0; (option = ::getopt(argc, argv, "+c:l:v")) != -1;) {
        if (option == '?')
            return command.fail(EX_TEMPFAIL, usage_text);
        if (option == 'c')
            directory = ::optarg;
        if (option == 'l')
            style = ::optarg;
    }
    if (argc - ::optind < 2)
        return command.fail(EX_TEMPFAIL, usage_text);
    const auto config = command.load_config(directory);
    if (!config)
        return command.fail(EX_TEMPFAIL, config.error().context);
    const auto styles = parse_styles(style ? parse_list(*style) : config->get_list("mailbox_delivery_lock"));
    if (!styles)
        return command.fail(EX_TEMPFAIL, styles.error().context);
    const Patience patience{.attempts = config->get_int("deliver_lock_attempts").value_or(20),
                            .delay = config->get_seconds("deliver_lock_delay").value_or(1),
                            .stale_after = config->get_seconds("stale_lock_time").value_or(500)};
    return locked(command, *styles, patience, argv + ::optind);
}

} // namespace

} // namespace bulkhead

int main(int argc, char** argv)
{
    return bulkhead::run(argc, argv);
}
