// postdrop: puts a message that sendmail made into maildrop/.  Installed with the rights
// of setgid_group, the only ones that may write there; so every record is checked as
// if an enemy had sent it.  (compat/queue-format.md, section 10)
#include "base/text.h"
#include "command.h"
#include "ipc/cleanup.h"
#include "local_user.h"
#include "os/files.h"
#include "sender_policy.h"
#include "spool/envelope.h"
#include "spool/new_file.h"
#include "spool/record.h"

#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

namespace status = ipc::cleanup_status;

constexpr std::string_view help_text = R"(postdrop: puts a message into the mail system.

  postdrop [-c DIR] [-r] [-v]

Reads the records that sendmail writes, answers on standard output with the queue id and
then with the status of the message.  Not for use by hand: see sendmail.

Exit codes: 0; 1 bad input, wrong usage or not permitted; 2 queue file write error;
4 message too big.
)";

constexpr std::size_t max_envelope_record = 4 * 1024;
constexpr std::size_t max_content_record = 64 * 1024;
constexpr std::size_t block_size = 64 * 1024;

volatile sig_atomic_t interrupted = 0;

// A signal ends the wait for more, so that the file goes the ordinary way.  It comes at no
// other time: one just before a read would else be noticed only with the next bytes.
class SignalGate
{
public:
    SignalGate()
    {
        struct sigaction action{};
        action.sa_handler = [](int) { interrupted = 1; };
        sigset_t blocked;
        ::sigemptyset(&blocked);
        for (const int signal : {SIGHUP, SIGINT, SIGQUIT, SIGTERM}) {
            ::sigaction(signal, &action, nullptr);
            ::sigaddset(&blocked, signal);
        }
        ::sigprocmask(SIG_BLOCK, &blocked, &open_);
        for (const int signal : {SIGHUP, SIGINT, SIGQUIT, SIGTERM})
            ::sigdelset(&open_, signal);
        ::signal(SIGPIPE, SIG_IGN);
        ::signal(SIGXFSZ, SIG_IGN);
    }

    // False when a signal has come.
    bool wait_for_input() const
    {
        pollfd input{STDIN_FILENO, POLLIN, 0};
        while (!interrupted && ::ppoll(&input, 1, nullptr, &open_) < 0 && errno == EINTR)
            continue;
        return !interrupted;
    }

private:
    sigset_t open_{};
};

// The way of a message's records from sendmail into the file.
class Drop
{
public:
    Drop(const Command& command, const Config& config)
        : command_(command), config_(config), size_limit_(config.get_int("message_size_limit").value_or(0))
    {
        const WallTime now = WallTime::now();
        append_record(out_, RecordType::arrival_time, fmt::format("{} {}", now.seconds, now.microseconds));
    }

    // The bits of ipc::cleanup_status; `record` is good or ends everything.
    unsigned take(const Record& record, std::string_view encoded);

    bool is_complete() const { return stage_ == Stage::done; }
    // status::bad, and why.
    unsigned bad(std::string why)
    {
        reason_ = std::move(why);
        return status::bad;
    }
    const std::string& reason() const { return reason_; }
    std::string& output() { return out_; }

private:
    enum class Stage { envelope, content, extracted, done };

    unsigned take_envelope(const Record& record, std::string_view encoded);
    unsigned take_attribute(const Record& record, std::string_view encoded);
    unsigned ignore(std::string_view name) const;

    const Command& command_;
    const Config& config_;
    std::int64_t size_limit_;
    std::int64_t size_ = 0;
    std::string out_;
    std::string reason_;
    Stage stage_ = Stage::envelope;
    bool has_sender_ = false;
    bool has_recipient_ = false;
};

bool is_one_of(std::string_view value, std::initializer_list<std::string_view> values)
{
    return std::find(values.begin(), values.end(), value) != values.end();
}

bool is_mask(std::string_view value, std::uint64_t bits)
{
    const auto number = parse_unsigned(value);
    return number && (*number & ~bits) == 0;
}

unsigned Drop::ignore(std::string_view name) const
{
    command_.say(Severity::warning, fmt::format("uid={}: ignoring attribute record: {}", ::getuid(), name));
    return status::ok;
}

unsigned Drop::take_attribute(const Record& record, std::string_view encoded)
{
    const auto attribute = parse_attribute(record.data);
    if (!attribute)
        return ignore(record.data);
    const auto [name, value] = *attribute;
    const bool known = is_one_of(name, {"encoding", "envelope_id", "notify_flags", "ret_flags",
                                        "dsn_orig_rcpt", "create_time", "rewrite_context", "trace_flags"});
    const bool good = name == "encoding"          ? is_one_of(value, {"7bit", "8bit", ""})
                      : name == "rewrite_context" ? is_one_of(value, {"local", "remote"})
                      : name == "notify_flags"    ? is_mask(value, 15)
                      : name == "ret_flags"       ? is_mask(value, 3)
                      : name == "create_time"     ? parse_unsigned(value).has_value()
                      // No others: a forged one would make this an address probe.
                      : name == "trace_flags" ? is_mask(value, trace_flag::verify_only | trace_flag::record)
                                              : true;
    if (!known || !good)
        return ignore(name);
    out_ += encoded;
    return status::ok;
}

unsigned Drop::take_envelope(const Record& record, std::string_view encoded)
{
    if (record.data.size() > max_envelope_record)
        return bad("overlong record");
    if (record.data.find_first_of(std::string_view("\0\r\n", 3)) != record.data.npos)
        return bad("control character in an address or attribute");
    const char type = static_cast<char>(record.type);
    const bool extracted = stage_ == Stage::extracted;
    switch (type) {
    case 'A':
        return take_attribute(record, encoded);
    case 'T':
        return extracted ? bad("misplaced record") : status::ok; // ours counts
    case 'F':
    case 'V':
    case 'S':
    case 'M':
        if (extracted || (type == 'S' && has_sender_) || (type == 'V' && record.data.size() != 2))
            return bad("misplaced record");
        has_sender_ = has_sender_ || type == 'S';
        if (type == 'S') {
            reason_ = refusal_of_sender(config_, record.data);
            if (!reason_.empty())
                return status::not_permitted;
        }
        if (type == 'M') {
            if (!has_sender_)
                return bad("no sender");
            stage_ = Stage::content;
        }
        break;
    case 'R':
        if (!has_sender_ || record.data.empty())
            return bad("misplaced recipient");
        has_recipient_ = true;
        break;
    case 'E':
        if (!extracted)
            return bad("misplaced record");
        if (!has_recipient_)
            return bad("no recipients");
        stage_ = Stage::done;
        break;
    default:
        return bad(fmt::format("unexpected record type {}", static_cast<int>(record.type)));
    }
    out_ += encoded;
    return status::ok;
}

unsigned Drop::take(const Record& record, std::string_view encoded)
{
    if (stage_ != Stage::content)
        return take_envelope(record, encoded);
    const bool ends = record.is(RecordType::extracted_start) && record.data.empty();
    if (!ends && !record.is(RecordType::text) && !record.is(RecordType::text_part))
        return bad(fmt::format("unexpected record type {} in content", static_cast<int>(record.type)));
    size_ += static_cast<std::int64_t>(encoded.size());
    if (size_limit_ > 0 && size_ > size_limit_)
        return status::too_big;
    if (ends)
        stage_ = Stage::extracted;
    out_ += encoded;
    return status::ok;
}

// Names and values, each with a NUL behind it, and one more at the end.
void tell(std::initializer_list<std::string_view> words)
{
    std::string text;
    for (const std::string_view word : words)
        text.append(word) += '\0';
    text += '\0';
    (void)write_all(STDOUT_FILENO, text);
}

// Copies standard input into the file until the end record.
unsigned copy(Drop& drop, NewQueueFile& file, const SignalGate& gate)
{
    std::string in;
    std::array<char, block_size> block;
    while (!drop.is_complete()) {
        if (!gate.wait_for_input())
            return status::ok; // not complete
        const ssize_t n = ::read(STDIN_FILENO, block.data(), block.size());
        if (n <= 0) // not complete: sendmail has thought better of it, or sent rubbish
            return in.empty() ? status::ok : drop.bad("malformed input");
        in.append(block.data(), static_cast<std::size_t>(n));
        std::string_view rest = in;
        while (!rest.empty() && !drop.is_complete()) {
            const auto peek = peek_record(rest);
            if (!peek || peek->needed > max_content_record + 8)
                return drop.bad("malformed input");
            if (peek->encoded == 0)
                break;
            if (const unsigned fault = drop.take(peek->record, rest.substr(0, peek->encoded));
                fault != status::ok)
                return fault;
            rest.remove_prefix(peek->encoded);
        }
        in.erase(0, in.size() - rest.size());
        if (drop.output().size() < block_size && !drop.is_complete())
            continue;
        if (const auto written = file.append(drop.output()); !written) {
            (void)drop.bad(written.error().context);
            return status::write_error;
        }
        drop.output().clear();
    }
    return status::ok;
}

// Wakes pickup; without it the message waits for the next look into maildrop.
void wake_pickup(const Command& command, const Config& config)
{
    const std::string service = "public/" + config.get("pickup_service_name");
    const auto socket = connect_unix(config.queue_directory() + '/' + service);
    if (socket)
        (void)write_all(socket->get(), "W");
    else
        command.say(Severity::warning,
                    fmt::format("unable to look up {}: {}", service, socket.error().context));
}

// sendmail says the reason to the person; the log has it from here.
int report(unsigned code, std::string_view reason)
{
    if (code != status::ok)
        log::write(Severity::warning, fmt::format("uid={}: {}", ::getuid(), reason));
    tell({"status", fmt::format("{}", code), "reason", reason});
    return code == status::not_permitted ? 1 : static_cast<int>(code & 0xff);
}

int deliver(const Command& command, const Config& config, const SignalGate& gate)
{
    if (const std::string refusal = refusal_of_caller(config, "authorized_submit_users", "submit mail");
        !refusal.empty())
        return report(status::not_permitted, refusal);
    SpoolLayout layout;
    layout.root = config.queue_directory();
    const auto spool = Spool::open(layout);
    if (!spool)
        return report(status::write_error, spool.error().context);
    ::umask(022);
    NewFileOptions options;
    options.long_id = config.get_bool("enable_long_queue_ids").value_or(false);
    auto file = NewQueueFile::create(*spool, Queue::maildrop, options);
    if (!file)
        return report(status::write_error, file.error().context);
    tell({"protocol", "postdrop_protocol", "queue_id", file->id().text()});

    Drop drop(command, config);
    if (const unsigned fault = copy(drop, *file, gate); fault != status::ok)
        return report(fault, fault == status::too_big ? "Message file too big" : drop.reason());
    if (!drop.is_complete())
        return 0;
    if (const auto stored = std::move(*file).commit(); !stored)
        return report(status::write_error, stored.error().context);
    wake_pickup(command, config);
    return report(status::ok, "");
}

int run(int argc, char** argv)
{
    Command command("postdrop");
    if (argc == 2 && std::string_view(argv[1]) == "--help") {
        std::fputs(help_text.data(), stdout);
        return 0;
    }
    std::optional<std::string> directory;
    ::opterr = 0;
    for (int option = 0; (option = ::getopt(argc, argv, "c:rv")) != -1;) {
        if (option == 'c')
            directory = optarg;
        else if (option == '?')
            return command.fail(1, "usage: postdrop [-c config_dir] [-v]");
    }
    const SignalGate gate;
    const auto config = command.load_config(directory);
    if (!config)
        return command.fail(1, config.error().context);
    command.open_log(*config);
    const int code = deliver(command, *config, gate);
    log::flush(true);
    return code;
}

} // namespace

} // namespace bulkhead

int main(int argc, char** argv)
{
    return bulkhead::run(argc, argv);
}
