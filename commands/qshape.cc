// qshape: how old the mail in a queue is, by domain: where it piles up shows which
// destination is slow.  Reads queue files; asks no worker.
#include "age_table.h"
#include "base/clock.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "command.h"
#include "spool/queue_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <vector>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr std::string_view usage_text = "usage: qshape [-s] [-p] [-m min_subdomains] [-l] [-b bucket_count] "
                                        "[-t bucket_time] [-w terminal_width] [-N batch_msg_count] "
                                        "[-n batch_top_domains] [-c config_directory] [queue_name ...]";

constexpr std::string_view help_text = R"(qshape: counts the mail of a queue by domain and age.

  qshape [-s] [-p] [-m NUMBER] [-l] [-b BUCKETS] [-t MINUTES] [-w WIDTH] [-N NUMBER] [-n NUMBER]
         [-c DIR] [QUEUE...]

  -s  sender domains instead of recipient domains
  -p  also rows for parent domains, with a dot in front, that have
  -m  so many subdomains (5)
  -t  minutes of the first bucket (5); each boundary is twice the one before
  -l  all buckets have the same length
  -b  how many buckets (10), the last one open
  -w  width of a line (80)
  -N  on a terminal: an intermediate table after so many messages (1000)
  -n  with so many rows (10)

QUEUE is a queue's name or the path of a folder; default incoming active.
Ages are in minutes since the arrival.  Exit codes: 0; 64 wrong usage; 78 configuration.
)";

constexpr int max_depth = 17; // a queue and 16 hash directories

struct Request {
    std::optional<std::string> directory;
    bool senders = false;
    AgeTableOptions table;
    std::size_t batch = 1000;
    std::size_t batch_rows = 10;
    std::vector<std::string> queues;
};

// A number from 1 to most.
bool take_number(std::size_t& target, const char* text, std::size_t most)
{
    const auto number = parse_unsigned(text);
    if (!number || *number == 0 || *number > most)
        return false;
    target = *number;
    return true;
}

bool take_option(Request& request, int option, const char* value)
{
    std::size_t minutes = 0;
    switch (option) {
    case 'b':
        return take_number(request.table.buckets, value, 40);
    case 'c':
        request.directory = value;
        return true;
    case 'l':
        request.table.linear = true;
        return true;
    case 'm':
        return take_number(request.table.min_subdomains, value, 1'000'000);
    case 'N':
        return take_number(request.batch, value, 1'000'000'000);
    case 'n':
        return take_number(request.batch_rows, value, 1'000'000);
    case 'p':
        request.table.parents = true;
        return true;
    case 's':
        request.senders = true;
        return true;
    case 't':
        if (!take_number(minutes, value, 100'000))
            return false;
        request.table.first_bucket = static_cast<std::int64_t>(minutes) * 60;
        return true;
    case 'w':
        return take_number(request.table.width, value, 10'000);
    default:
        return false;
    }
}

// nullopt: wrong usage.
std::optional<Request> parse(int argc, char** argv)
{
    Request request;
    ::opterr = 0;
    for (int option = 0; (option = ::getopt(argc, argv, "+b:c:lm:N:n:pst:w:")) != -1;)
        if (!take_option(request, option, ::optarg))
            return std::nullopt;
    request.queues.assign(argv + ::optind, argv + argc);
    if (request.queues.empty())
        request.queues = {"incoming", "active"};
    return request;
}

class Census
{
public:
    Census(const Command& command, const Request& request)
        : command_(command), request_(request), table_(request.table), now_(WallTime::now().seconds)
    {
    }

    void count_folder(int parent, const std::string& path, int depth)
    {
        const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | (depth > 0 ? O_NOFOLLOW : 0);
        UniqueFd folder(::openat(parent, path.c_str(), flags));
        if (!folder)
            return command_.say(Severity::warning, system_error(path).context);
        const std::unique_ptr<DIR, decltype(&::closedir)> entries(::fdopendir(folder.get()), ::closedir);
        if (!entries)
            return command_.say(Severity::warning, system_error(path).context);
        const int fd = folder.release(); // closedir() closes it
        while (const dirent* const entry = ::readdir(entries.get())) {
            const std::string name = entry->d_name;
            struct stat st{};
            if (name.starts_with('.') || ::fstatat(fd, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0)
                continue;
            if (S_ISDIR(st.st_mode) && depth < max_depth)
                count_folder(fd, name, depth + 1);
            else if (S_ISREG(st.st_mode) && (st.st_mode & S_IXUSR) != 0) // a complete message
                count_file(fd, name);
        }
    }

    const AgeTable& table() const { return table_; }

private:
    void count_file(int folder, const std::string& name)
    {
        const UniqueFd fd(::openat(folder, name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
        if (!fd && errno == ENOENT)
            return; // just gone
        if (!fd)
            return command_.say(Severity::warning, system_error("open " + name).context);
        auto envelope = read_envelope(fd.get());
        if (!envelope)
            envelope = read_envelope(fd.get(), {.submission = true}); // as in maildrop/
        if (!envelope)
            return command_.say(Severity::warning, fmt::format("{}: {}", name, envelope.error().context));
        const std::int64_t age = now_ - envelope->arrival.seconds;
        if (request_.senders)
            table_.add(counted_domain(envelope->sender), age);
        else
            for (const Recipient& recipient : envelope->recipients)
                table_.add(counted_domain(recipient.address), age);
        if (++messages_ % request_.batch == 0 && ::isatty(STDOUT_FILENO) == 1)
            fmt::print("{}\n", table_.text(request_.batch_rows));
    }

    const Command& command_;
    const Request& request_;
    AgeTable table_;
    std::int64_t now_;
    std::size_t messages_ = 0;
};

int run(int argc, char** argv)
{
    const Command command("qshape");
    if (argc == 2 && std::string_view(argv[1]) == "--help") {
        std::fwrite(help_text.data(), 1, help_text.size(), stdout);
        return 0;
    }
    const auto request = parse(argc, argv);
    if (!request)
        return command.fail(EX_USAGE, usage_text);
    const auto config = command.load_config(request->directory);
    if (!config)
        return command.fail(EX_CONFIG, config.error().context);
    // Queue files are others' bytes: they are read with the rights of their owner, not of root.
    if (command.is_root())
        if (const auto changed = become_mail_owner(*config); !changed)
            return command.fail(EX_CONFIG, changed.error().context);
    Census census(command, *request);
    for (const std::string& queue : request->queues)
        census.count_folder(AT_FDCWD,
                            queue.starts_with('/') ? queue : config->queue_directory() + '/' + queue, 0);
    const std::string text = census.table().text();
    std::fwrite(text.data(), 1, text.size(), stdout);
    return std::fflush(stdout) == 0 ? 0 : command.fail(EX_IOERR, system_error("write").context);
}

} // namespace

} // namespace bulkhead

int main(int argc, char** argv)
{
    return bulkhead::run(argc, argv);
}
