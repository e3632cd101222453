// postcat: shows queue files, records as lines of text.
#include "base/text.h"
#include "command.h"
#include "os/files.h"
#include "spool/moves.h"
#include "spool/record_stream.h"
#include "spool_snapshot.h"

#include <fcntl.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <span>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr std::string_view usage_text =
    "usage: postcat [-b (body text)] [-c config_dir] [-d (decimal record type)] [-e (envelope records)] "
    "[-h (header text)] [-o (offsets)] [-q (access queue)] [-r (file order)] [-s offset] [-v] [file(s)...]";

constexpr std::string_view help_text = R"(postcat: shows the contents of queue files.

  postcat [-bdehorv] [-c DIR] [-s OFFSET] FILE...     files by name; none: standard input
  postcat [-bdehorv] [-c DIR] [-s OFFSET] -q ID...    files by queue id

  -e  envelope records   -h  message header   -b  message body   (without any: all)
  -o  the offset of each record in front   -d  its type as a decimal number in front
  -r  records in the order of the file: pointers are shown, not followed
  -s  begin at this offset   -v  the type of each text record too

Exit codes: 0; 1 when a file cannot be read.
)";

struct Options {
    bool envelope = false;
    bool header = false;
    bool body = false;
    bool decimal_type = false;
    bool offsets = false;
    bool file_order = false;
    bool by_id = false;
    bool verbose = false;
    std::int64_t start = 0;
    std::optional<std::string> directory;

    bool headings() const { return envelope; }
};

// The name of a record in an envelope or extracted segment.
std::string_view record_name(RecordType type)
{
    switch (type) {
    case RecordType::size:
        return "message_size";
    case RecordType::arrival_time:
        return "message_arrival_time";
    case RecordType::create_time:
        return "queue_file_create_time";
    case RecordType::full_name:
        return "sender_fullname";
    case RecordType::inspect:
        return "content_inspector";
    case RecordType::filter:
        return "content_filter";
    case RecordType::sender:
        return "sender";
    case RecordType::recipient_done:
        return "done_recipient";
    case RecordType::recipient:
        return "recipient";
    case RecordType::original_recipient:
        return "original_recipient";
    case RecordType::recipient_cancelled:
        return "canceled_recipient";
    case RecordType::warn_time:
        return "warning_message_time";
    case RecordType::attribute:
        return "named_attribute";
    case RecordType::killed:
        return "killed_record";
    case RecordType::verp:
        return "verp_delimiters";
    case RecordType::redirect:
        return "redirect_to";
    case RecordType::text:
        return "regular_text";
    case RecordType::padding:
        return "padding";
    case RecordType::return_receipt:
        return "return_receipt";
    case RecordType::errors_to:
        return "errors_to";
    case RecordType::priority:
        return "priority";
    case RecordType::pointer:
        return "pointer_record";
    case RecordType::cleanup_flags:
        return "flags";
    case RecordType::dsn_ret:
        return "dsn_return_flags";
    case RecordType::dsn_envid:
        return "dsn_envelope_id";
    case RecordType::dsn_orig_recipient:
        return "dsn_original_recipient";
    case RecordType::dsn_notify:
        return "dsn_notify_flags";
    default:
        return "unknown_record_type";
    }
}

// "Sun Nov 22 07:00:50 2026" from the seconds at the start of the text.
std::string time_text(std::string_view seconds)
{
    const std::time_t time = std::strtoll(std::string(seconds).c_str(), nullptr, 10);
    std::tm local{};
    char text[64] = "";
    if (::localtime_r(&time, &local) != nullptr)
        std::strftime(text, sizeof text, "%a %b %e %H:%M:%S %Y", &local);
    return text;
}

// One queue file on its way to stdout.
class Printer
{
public:
    Printer(const Command& command, const Options& options, std::string name)
        : command_(command), options_(options), name_(std::move(name))
    {
    }

    // false: the file is damaged, which was said.
    bool print(int fd)
    {
        RecordStream stream(fd, options_.file_order || options_.verbose ? Pointers::show : Pointers::follow,
                            options_.start);
        for (bool first = true;; first = false) {
            // the place where reading went on, before jumps and padding that are not shown
            const std::int64_t offset = std::exchange(skipped_from_, std::nullopt).value_or(stream.offset());
            const auto record = stream.next();
            if (!record && (!first || begins_as_queue_file(fd)))
                return damaged(record.error().context);
            if (record && !*record)
                return first || segment_ == Segment::ended || damaged("unexpected end of the file");
            if (!record || (first && !can_be_first((*record)->type))) {
                command_.say(Severity::warning, fmt::format("{}: input is not a valid queue file", name_));
                return true;
            }
            if (first && options_.start == 0)
                print_title("ENVELOPE RECORDS");
            show(offset, **record);
            follow(stream, **record);
            if (segment_ == Segment::ended && !options_.file_order)
                return true;
        }
    }

private:
    enum class Segment { envelope, header, body, extracted, ended };

    // A finished file begins with C, a submission with T; others only where the caller
    // said where to begin.
    bool can_be_first(RecordType type) const
    {
        return options_.start > 0 || type == RecordType::size || type == RecordType::arrival_time;
    }

    bool begins_as_queue_file(int fd) const
    {
        char type = '\0';
        return ::pread(fd, &type, 1, options_.start) == 1 && can_be_first(static_cast<RecordType>(type));
    }

    bool damaged(std::string_view reason)
    {
        std::fflush(stdout);
        command_.say(Severity::warning, fmt::format("{}: {}", name_, reason));
        return false;
    }

    // In a verbose listing pointers are shown and followed.
    void follow(RecordStream& stream, const FileRecord& record)
    {
        if (!record.is(RecordType::pointer) || options_.file_order)
            return;
        const auto target = parse_fixed_number(record.data);
        if (!target || *target <= 0)
            return;
        if (*target <= record.offset && ++backward_jumps_ > RecordStream::max_backward_jumps)
            return;
        stream.seek(*target);
    }

    void show(std::int64_t offset, const FileRecord& record)
    {
        switch (record.type) {
        case RecordType::message_start:
            segment_ = Segment::header;
            return print_heading(offset, record.type, "MESSAGE CONTENTS");
        case RecordType::extracted_start:
            segment_ = Segment::extracted;
            return print_heading(offset, record.type, "HEADER EXTRACTED");
        case RecordType::end:
            segment_ = Segment::ended;
            return print_heading(offset, record.type, "MESSAGE FILE END");
        default:
            break;
        }
        if (segment_ == Segment::header || segment_ == Segment::body)
            show_content(offset, record);
        else if (options_.envelope)
            show_envelope(offset, record);
    }

    void show_content(std::int64_t offset, const FileRecord& record)
    {
        const bool is_text = record.is(RecordType::text) || record.is(RecordType::text_part);
        if (is_text && segment_ == Segment::header && !in_line_ && ends_header(record.data))
            segment_ = Segment::body;
        const bool line_is_open = in_line_;
        if (is_text)
            in_line_ = record.is(RecordType::text_part);
        const bool wanted = segment_ == Segment::header ? options_.header : options_.body;
        if (!is_text && !options_.verbose && !options_.file_order)
            skipped_from_ = offset;
        if (!wanted || skipped_from_)
            return;
        if (!is_text || options_.verbose) {
            print_prefix(offset, record.type);
            const std::string_view name =
                record.is(RecordType::text_part) ? "unterminated_text" : record_name(record.type);
            fmt::print("{}: ", name);
            return print_line(record.data);
        }
        if (options_.offsets && line_is_open)
            std::fputc('\n', stdout);
        print_prefix(offset, record.type);
        std::fwrite(record.data.data(), 1, record.data.size(), stdout);
        if (record.is(RecordType::text))
            std::fputc('\n', stdout);
    }

    void show_envelope(std::int64_t offset, const FileRecord& record)
    {
        const bool is_time = record.is(RecordType::arrival_time) || record.is(RecordType::warn_time);
        if (is_time) {
            print_prefix(offset, record.type);
            fmt::print("{}: {}\n", record_name(record.type), time_text(record.data));
            return;
        }
        if (record.is(RecordType::attribute))
            return show_attribute(offset, record);
        print_prefix(offset, record.type);
        fmt::print("{}: ", record_name(record.type));
        print_line(record.data);
    }

    void show_attribute(std::int64_t offset, const FileRecord& record)
    {
        const auto attribute = parse_attribute(record.data);
        if (!attribute) {
            std::fflush(stdout);
            command_.say(Severity::warning, fmt::format("{}: malformed attribute: {}", name_, record.data));
            return;
        }
        print_prefix(offset, record.type);
        if (attribute->name == "create_time")
            fmt::print("create_time: {}\n", time_text(attribute->value));
        else
            fmt::print("named_attribute: {}={}\n", attribute->name, attribute->value);
    }

    void print_prefix(std::int64_t offset, RecordType type) const
    {
        if (options_.offsets)
            fmt::print("{:>9} ", offset);
        if (options_.decimal_type)
            fmt::print("{:>3} ", static_cast<int>(type));
    }

    void print_title(std::string_view text) const
    {
        if (options_.headings())
            fmt::print("*** {} {} ***\n", text, name_);
    }

    void print_heading(std::int64_t offset, RecordType type, std::string_view text) const
    {
        if (!options_.headings())
            return;
        print_prefix(offset, type);
        print_title(text);
    }

    static void print_line(std::string_view data)
    {
        std::fwrite(data.data(), 1, data.size(), stdout);
        std::fputc('\n', stdout);
    }

    // The empty line, or one that is neither a header nor the rest of one.
    static bool ends_header(std::string_view line)
    {
        if (line.empty())
            return true;
        if (is_blank(line.front()))
            return false;
        const std::size_t colon = line.find(':');
        if (colon == 0 || colon == std::string_view::npos)
            return true;
        const std::string_view name = trim(line.substr(0, colon));
        return name.find_first_of(" \t") != std::string_view::npos;
    }

    const Command& command_;
    const Options& options_;
    std::string name_;
    Segment segment_ = Segment::envelope;
    bool in_line_ = false; // behind a text part
    std::optional<std::int64_t> skipped_from_;
    int backward_jumps_ = 0;
};

// nullopt: wrong usage.
std::optional<Options> parse(int argc, char** argv)
{
    Options options;
    ::opterr = 0;
    for (int option = 0; (option = ::getopt(argc, argv, "+bc:dehoqrs:v")) != -1;) {
        switch (option) {
        case 'b':
            options.body = true;
            break;
        case 'c':
            options.directory = ::optarg;
            break;
        case 'd':
            options.decimal_type = true;
            break;
        case 'e':
            options.envelope = true;
            break;
        case 'h':
            options.header = true;
            break;
        case 'o':
            options.offsets = true;
            break;
        case 'q':
            options.by_id = true;
            break;
        case 'r':
            options.file_order = true;
            break;
        case 's': {
            const auto offset = parse_unsigned(::optarg);
            if (!offset || *offset > INT64_MAX)
                return std::nullopt;
            options.start = static_cast<std::int64_t>(*offset);
            break;
        }
        case 'v':
            options.verbose = true;
            break;
        default:
            return std::nullopt;
        }
    }
    if (!options.envelope && !options.header && !options.body)
        options.envelope = options.header = options.body = true;
    return options;
}

constexpr std::array<Queue, 7> searched_queues{Queue::maildrop, Queue::incoming, Queue::active,
                                               Queue::deferred, Queue::hold,     Queue::corrupt,
                                               Queue::saved};

int show_by_id(const Command& command, const Options& options, std::span<char*> ids)
{
    const auto config = command.load_config(options.directory);
    if (!config)
        return command.fail(1, config.error().context);
    const auto spool = open_configured_spool(*config);
    if (!spool)
        return command.fail(1, spool.error().context);
    for (const std::string_view text : ids) {
        const auto id = QueueId::parse(text);
        if (!id)
            return command.fail(1, fmt::format("bad mail queue ID: {}", text));
        const auto found = locate(*spool, searched_queues, *id);
        if (!found)
            return command.fail(1, found.error().context);
        if (!*found)
            return command.fail(1, fmt::format("open queue file {}: No such file or directory", text));
        const auto file = open_queue_file(*spool, (*found)->path);
        if (!file)
            return command.fail(1, fmt::format("open queue file {}: {}", text, file.error().context));
        if (!Printer(command, options, (*found)->path).print(file->fd.get()))
            return command.fail(1, "record read error");
    }
    return 0;
}

// Standard input may be a pipe: pointers need a file.
Result<UniqueFd> spooled_input()
{
    UniqueFd file(::open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    if (!file)
        return system_error("temporary file in /tmp");
    char block[65536];
    for (;;) {
        const ssize_t n = ::read(STDIN_FILENO, block, sizeof block);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return system_error("read stdin");
        if (n == 0)
            return file;
        TRY_VOID(write_all(file.get(), std::string_view(block, static_cast<std::size_t>(n))));
    }
}

int show_files(const Command& command, const Options& options, std::span<char*> names)
{
    if (names.empty()) {
        const auto input = spooled_input();
        if (!input)
            return command.fail(1, input.error().context);
        return Printer(command, options, "stdin").print(input->get()) ? 0
                                                                      : command.fail(1, "record read error");
    }
    for (const char* const name : names) {
        const UniqueFd fd(::open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY));
        if (!fd)
            return command.fail(1, system_error(fmt::format("open {}", name)).context);
        if (!Printer(command, options, name).print(fd.get()))
            return command.fail(1, "record read error");
    }
    return 0;
}

int run(int argc, char** argv)
{
    const Command command("postcat");
    if (argc == 2 && std::string_view(argv[1]) == "--help") {
        std::fwrite(help_text.data(), 1, help_text.size(), stdout);
        return 0;
    }
    const auto options = parse(argc, argv);
    if (!options)
        return command.fail(1, usage_text);
    const std::span<char*> names(argv + ::optind, argv + argc);
    return options->by_id ? show_by_id(command, *options, names) : show_files(command, *options, names);
}

} // namespace

} // namespace bulkhead

int main(int argc, char** argv)
{
    return bulkhead::run(argc, argv);
}
