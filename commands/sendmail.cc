// sendmail, mailq and newaliases: the commands that programs have used for forty years to
// send mail.  Without any rights of its own: postdrop takes the message.  Exit codes are
// those of sysexits.h.
#include "base/text.h"
#include "command.h"
#include "config/install_paths.h"
#include "ipc/cleanup.h"
#include "mail/address.h"
#include "mail/addrlist.h"
#include "mail/dsn.h"
#include "os/files.h"
#include "spool/envelope.h"
#include "submission_writer.h"

#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr std::string_view help_text = R"(sendmail: sends mail, and what else a command of this name does.

  sendmail [options] RECIPIENT...   send the message on standard input
  sendmail -t [options]             recipients from To:, Cc: and Bcc:
  sendmail -bs                      speak SMTP on standard input and output
  sendmail -bp, mailq               list the queue
  sendmail -bi, newaliases          rebuild the alias database
  sendmail -bv RECIPIENT...         mail a report of what would be done
  sendmail -bd                      start the mail system
  sendmail -q                       try to deliver all queued mail now
  sendmail -qIID, -qRSITE, -qSSITE      the same for one message, or one site

  -f ADDRESS   the sender          -F NAME   his name
  -i, -oi      a line with a dot does not end the message
  -B 7BIT|8BITMIME   body type     -G        do not complete addresses
  -N WHEN      never, or some of success,failure,delay
  -R FULL|HDRS what notices return -V ID     id of the message in notices
  -C DIR       another configuration folder
  -v           mail a report of the delivery
  -XV[xy]      one sender address for each recipient

Exit codes: 0; 64 usage or no recipient; 65 bad message; 69 mail system unavailable;
70 internal trouble; 71 no login name; 75 try again later; 77 not permitted.
)";

enum class Mode { send, smtp, list_queue, aliases, verify, start, start_foreground, flush, nothing };

struct Invocation {
    Mode mode = Mode::send;
    std::optional<std::string> directory;
    std::optional<std::string> sender;
    std::optional<std::string> full_name;
    std::string alias_database;
    std::vector<std::string> flush_options; // for postqueue
    SubmissionEnvelope envelope;
    bool dots_are_text = false;
    bool wants_verp = false;
    std::vector<std::string> operands;
    std::string fault; // wrong usage
};

void take_mode(Invocation& call, std::string_view mode)
{
    const char letter = mode.empty() ? '\0' : mode.front();
    switch (letter) {
    case 's':
        call.mode = Mode::smtp;
        break;
    case 'p':
        call.mode = Mode::list_queue;
        break;
    case 'i':
        call.mode = Mode::aliases;
        break;
    case 'v':
        call.mode = Mode::verify;
        break;
    case 'd':
    case 'l':
        call.mode = Mode::start;
        break;
    case 'D':
        call.mode = Mode::start_foreground;
        break;
    case 'h': // host status, never kept
    case 'H':
        call.mode = Mode::nothing;
        break;
    case 'm':
    case 'a':
        break;
    default:
        call.fault = fmt::format("unsupported: -b{}", mode);
    }
}

// -q takes its argument only when it is written together with it.
void take_flush(Invocation& call, std::string_view what)
{
    if (call.mode == Mode::send)
        call.mode = Mode::flush;
    if (what.empty() || is_digit(what.front())) { // an interval is qmgr's affair
        if (call.flush_options.empty())
            call.flush_options = {"-f"};
        return;
    }
    const std::string value(what.substr(1));
    if (what.front() == 'I' && !value.empty())
        call.flush_options = {"-i", value};
    else if ((what.front() == 'R' || what.front() == 'S') && !value.empty())
        call.flush_options = {"-s", value};
    else
        call.fault = "usage: sendmail -q[Iid|Rsite|Ssite]";
}

void take_old_option(Invocation& call, std::string_view option)
{
    if (option == "i")
        call.dots_are_text = true;
    else if (option == "7")
        call.envelope.encoding = "7bit";
    else if (option == "8")
        call.envelope.encoding = "8bit";
    else if (option.starts_with('A') && option.size() > 1)
        call.alias_database = option.substr(1);
}

void take_body_type(Invocation& call, std::string_view type)
{
    if (equals_ignoring_case(type, "7BIT"))
        call.envelope.encoding = "7bit";
    else if (equals_ignoring_case(type, "8BITMIME"))
        call.envelope.encoding = "8bit";
    else
        call.fault = fmt::format("specify -B7BIT or -B8BITMIME, not -B{}", type);
}

template <typename T, typename Target>
void take_parsed(Invocation& call, Result<T> parsed, Target& target, char option)
{
    if (parsed)
        target = static_cast<Target>(*std::move(parsed));
    else
        call.fault = fmt::format("bad value of -{}: {}", option, parsed.error().context);
}

void take_option(Invocation& call, int option, std::string_view value)
{
    switch (option) {
    case 'b':
        return take_mode(call, value);
    case 'B':
        return take_body_type(call, value);
    case 'C':
        call.directory = value;
        return;
    case 'F':
        call.full_name = value;
        return;
    case 'f':
    case 'r':
        call.sender = value;
        return;
    case 'G':
        call.envelope.remote = true;
        return;
    case 'I':
        call.mode = Mode::aliases;
        return;
    case 'i':
        call.dots_are_text = true;
        return;
    case 'N':
        return take_parsed(call, parse_notify(value), call.envelope.notify, 'N');
    case 'o':
        return take_old_option(call, value);
    case 'R':
        return take_parsed(call, parse_ret(value), call.envelope.ret_flags, 'R');
    case 't':
        call.envelope.header_recipients = true;
        return;
    case 'V':
        return take_parsed(call, parse_envid(value), call.envelope.envelope_id, 'V');
    case 'v':
        call.envelope.trace_flags |= trace_flag::record;
        return;
    case 'X':
        if (value.starts_with('V')) {
            call.wants_verp = true;
            call.envelope.verp = value.substr(1);
        }
        return;
    case '?':
        call.fault = "usage: sendmail [options] [recipient ...]";
        return;
    default: // accepted and of no meaning here: A a c D d e h L m n O p U x
        return;
    }
}

Invocation parse(int argc, char** argv)
{
    Invocation call;
    const std::string_view path = argv[0] != nullptr ? argv[0] : "sendmail";
    const std::string_view program = path.substr(path.rfind('/') + 1);
    if (program == "mailq")
        call.mode = Mode::list_queue;
    else if (program == "newaliases")
        call.mode = Mode::aliases;
    ::opterr = 0;
    // '+': no option behind the first recipient.
    constexpr const char* options = "+A:B:C:D:F:GIL:N:O:R:UV:X:ab:cd:e:f:h:imno:p:q::r:tvx";
    for (int option = 0; (option = ::getopt(argc, argv, options)) != -1 && call.fault.empty();) {
        const std::string_view value = optarg != nullptr ? optarg : "";
        if (option == 'q')
            take_flush(call, value);
        else
            take_option(call, option, value);
    }
    for (int i = optind; i < argc; ++i)
        call.operands.emplace_back(argv[i]);
    return call;
}

// -C names the folder, or main.cf in it.
std::optional<std::string> folder_of(const std::optional<std::string>& path)
{
    if (!path || path->empty())
        return std::nullopt;
    for (const std::string_view file : {"/main.cf", "/sendmail.cf"})
        if (path->ends_with(file))
            return path->substr(0, path->size() - file.size());
    return path;
}

int become(const Command& command, const std::string& program, const std::vector<std::string>& arguments,
           const std::optional<std::string>& directory)
{
    if (directory)
        ::setenv("MAIL_CONFIG", directory->c_str(), 1);
    std::vector<char*> argv;
    argv.reserve(arguments.size() + 1);
    for (const std::string& argument : arguments)
        argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    ::execv(program.c_str(), argv.data());
    return command.fail(EX_UNAVAILABLE, system_error(program).context);
}

// ---- a message ----

// The program postdrop with its two pipes.
class Postdrop
{
public:
    static Result<Postdrop> start(const std::optional<std::string>& directory);

    Result<> write(std::string_view records) { return write_all(in_.get(), records); }

    // Closes its input and reads what it says: the value of "status", nullopt for none.
    std::optional<unsigned> finish();
    int exit_code() const { return exit_code_; }
    const std::string& reason() const { return reason_; }

private:
    UniqueFd in_;
    UniqueFd out_;
    pid_t pid_ = -1;
    int exit_code_ = 0;
    std::string reason_;
};

Result<Postdrop> Postdrop::start(const std::optional<std::string>& directory)
{
    std::array<int, 2> in{};
    std::array<int, 2> out{};
    if (::pipe2(in.data(), O_CLOEXEC) != 0)
        return system_error("pipe");
    UniqueFd read_end(in[0]);
    Postdrop child;
    child.in_.reset(in[1]);
    if (::pipe2(out.data(), O_CLOEXEC) != 0)
        return system_error("pipe");
    child.out_.reset(out[0]);
    UniqueFd write_end(out[1]);

    const std::string program = install_paths().command_directory + "/postdrop";
    child.pid_ = ::fork();
    if (child.pid_ < 0)
        return system_error("fork");
    if (child.pid_ == 0) {
        ::dup2(read_end.get(), STDIN_FILENO);
        ::dup2(write_end.get(), STDOUT_FILENO);
        if (directory)
            ::execl(program.c_str(), "postdrop", "-r", "-c", directory->c_str(), nullptr);
        else
            ::execl(program.c_str(), "postdrop", "-r", nullptr);
        ::_exit(EX_UNAVAILABLE);
    }
    return child;
}

std::optional<unsigned> Postdrop::finish()
{
    in_.reset();
    std::string text;
    std::array<char, 4096> block;
    for (;;) {
        const ssize_t n = ::read(out_.get(), block.data(), block.size());
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || text.size() > 64 * 1024)
            break;
        text.append(block.data(), static_cast<std::size_t>(n));
    }
    int state = 0;
    while (::waitpid(pid_, &state, 0) < 0 && errno == EINTR)
        ;
    exit_code_ = WIFEXITED(state) ? WEXITSTATUS(state) : EX_SOFTWARE;
    std::optional<unsigned> status;
    for (const std::string_view line : split(text, "\n")) {
        if (line.starts_with("status="))
            if (const auto number = parse_unsigned(line.substr(7)))
                status = static_cast<unsigned>(*number);
        if (line.starts_with("reason="))
            reason_ = printable(line.substr(7));
    }
    return status;
}

struct Login {
    std::string name;
    std::string full_name;
};

// From $NAME, or the first part of the user's entry; '&' stands for the login name.
std::optional<Login> login()
{
    const passwd* user = ::getpwuid(::getuid());
    if (user == nullptr)
        return std::nullopt;
    Login found;
    found.name = user->pw_name;
    const char* name = std::getenv("NAME");
    if (name != nullptr && *name != '\0') {
        found.full_name = name;
        return found;
    }
    const std::string_view gecos = user->pw_gecos != nullptr ? user->pw_gecos : "";
    for (const char c : gecos.substr(0, gecos.find(','))) {
        if (c != '&')
            found.full_name += c;
        else if (!found.name.empty())
            found.full_name +=
                static_cast<char>(found.name[0] >= 'a' && found.name[0] <= 'z' ? found.name[0] - 32
                                                                               : found.name[0]) +
                found.name.substr(1);
    }
    return found;
}

bool is_clean(std::string_view text)
{
    return text.find_first_of(std::string_view("\0\r\n", 3)) == text.npos;
}

// "Joe <joe@a>, ann": the addresses of an operand; what does not parse is taken as it is.
void add_recipients(std::vector<std::string>& recipients, const std::string& operand)
{
    const auto list = parse_address_list(operand);
    if (list && list->malformed == 0 && !list->addresses.empty()) {
        for (const ListedAddress& one : list->addresses)
            if (!one.address.empty())
                recipients.push_back(one.address);
    } else if (const auto internal = unquote(operand)) {
        recipients.push_back(*internal);
    } else {
        recipients.push_back(operand);
    }
}

std::string sender_address(std::string_view given)
{
    const std::string text(trim(given));
    if (text.empty() || text == "<>")
        return {};
    const auto list = parse_address_list(text);
    if (list && list->malformed == 0 && list->addresses.size() == 1)
        return list->addresses.front().address;
    return unquote(text).value_or(text);
}

LineEndings line_endings(const Config& config)
{
    const std::string value = config.get("sendmail_fix_line_endings");
    return value == "never"    ? LineEndings::never
           : value == "strict" ? LineEndings::strict
                               : LineEndings::always;
}

// What postdrop's answer means to the caller.
int conclude(const Command& command, Postdrop& postdrop)
{
    namespace status = ipc::cleanup_status;
    const std::optional<unsigned> answer = postdrop.finish();
    const std::string who = fmt::format("uid={}: ", ::getuid());
    if (!answer) {
        const int code = postdrop.exit_code();
        const bool refused = code == EX_NOPERM || code == EX_CONFIG || code == EX_TEMPFAIL;
        return command.fail(refused         ? EX_TEMPFAIL
                            : code == EX_OK ? EX_SOFTWARE
                                            : EX_UNAVAILABLE,
                            who + "mail system unavailable: no answer from postdrop");
    }
    if (*answer == status::ok)
        return EX_OK;
    if (*answer & status::not_permitted)
        return command.fail(EX_NOPERM, postdrop.reason());
    if (*answer & status::too_big)
        return command.fail(EX_TEMPFAIL, who + "message file too big");
    if (*answer & status::write_error)
        return command.fail(EX_TEMPFAIL, who + "queue file write error");
    return command.fail(EX_DATAERR, who + "message refused");
}

int send(const Command& command, const Config& config, Invocation call,
         const std::optional<std::string>& directory)
{
    SubmissionEnvelope& envelope = call.envelope;
    const bool verify = call.mode == Mode::verify;
    for (const std::string& operand : call.operands)
        add_recipients(envelope.recipients, operand);
    if (verify && envelope.header_recipients)
        return command.fail(EX_USAGE, "-t option cannot be used with -bv");
    if (envelope.recipients.empty() && !envelope.header_recipients)
        return command.fail(EX_USAGE,
                            "Recipient addresses must be specified on the command line or via the -t option");
    const auto user = login();
    if (!user && !call.sender)
        return command.fail(EX_OSERR, fmt::format("unable to find out your login name (uid {})", ::getuid()));
    envelope.sender = call.sender ? sender_address(*call.sender) : user->name;
    envelope.full_name = call.full_name ? *call.full_name : user ? user->full_name : std::string();
    if (call.wants_verp && envelope.verp.empty())
        envelope.verp = config.get("default_verp_delimiters");
    if (call.wants_verp && (envelope.verp.size() != 2 || envelope.sender.empty()))
        return command.fail(EX_USAGE, "-XV needs two characters and a sender");
    if (verify)
        envelope.trace_flags = trace_flag::verify_only;
    bool clean = is_clean(envelope.sender) && is_clean(envelope.full_name) && is_clean(envelope.envelope_id);
    for (const std::string& recipient : envelope.recipients)
        clean = clean && is_clean(recipient);
    if (!clean)
        return command.fail(EX_DATAERR, "line break in an address or a name");

    const bool reports = envelope.trace_flags != 0;
    const std::string reported_to = external_form(envelope.sender);
    SubmissionRules rules;
    rules.dot_ends = !call.dots_are_text;
    rules.endings = line_endings(config);
    rules.size_limit = config.get_int("message_size_limit").value_or(0);

    ::signal(SIGPIPE, SIG_IGN);
    auto postdrop = Postdrop::start(directory);
    if (!postdrop)
        return command.fail(EX_OSERR, postdrop.error().context);
    SubmissionWriter writer(std::move(envelope), rules);
    // Everything below that returns early closes the pipe without an end record: postdrop
    // then forgets the message.
    const auto pass = [&](Result<> made) -> std::optional<int> {
        if (!made && made.error().fault == Fault::not_found)
            return command.fail(EX_USAGE, made.error().context);
        if (!made)
            return command.fail(EX_TEMPFAIL, fmt::format("uid={}: {}", ::getuid(), made.error().context));
        if (writer.output().empty())
            return std::nullopt;
        const auto written = postdrop->write(writer.output());
        writer.output().clear();
        if (!written)
            return conclude(command, *postdrop);
        return std::nullopt;
    };
    if (verify) {
        if (const auto code = pass(writer.feed("Subject: probe\n")))
            return *code;
    }
    std::array<char, 64 * 1024> block;
    while (!verify && !writer.is_ended()) {
        const ssize_t n = ::read(STDIN_FILENO, block.data(), block.size());
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return command.fail(EX_DATAERR, system_error("read standard input").context);
        if (n == 0)
            break;
        if (const auto code = pass(writer.feed({block.data(), static_cast<std::size_t>(n)})))
            return *code;
    }
    if (const auto code = pass(writer.finish()))
        return *code;
    const int code = conclude(command, *postdrop);
    if (code == EX_OK && reports)
        std::fputs(
            fmt::format("Mail Delivery Status Report will be mailed to <{}>.\n", printable(reported_to))
                .c_str(),
            stdout);
    return code;
}

int rebuild_aliases(const Command& command, const Config& config, const Invocation& call,
                    const std::optional<std::string>& directory)
{
    std::vector<std::string> arguments{"postalias"};
    if (!call.alias_database.empty())
        arguments.push_back(call.alias_database);
    else
        for (std::string& database : config.get_list("alias_database"))
            arguments.push_back(std::move(database));
    if (arguments.size() == 1)
        return EX_OK;
    return become(command, install_paths().command_directory + "/postalias", arguments, directory);
}

int run(int argc, char** argv)
{
    Command command("sendmail");
    Invocation call = parse(argc, argv);
    if (call.mode == Mode::send && call.operands == std::vector<std::string>{"--help"}) {
        std::fputs(help_text.data(), stdout);
        return EX_OK;
    }
    if (!call.fault.empty())
        return command.fail(EX_USAGE, call.fault);
    const std::optional<std::string> directory = folder_of(call.directory);
    const InstallPaths& paths = install_paths();
    const auto config = command.load_config(directory);
    if (!config)
        return command.fail(EX_TEMPFAIL, config.error().context);
    switch (call.mode) {
    case Mode::send:
    case Mode::verify:
        return send(command, *config, std::move(call), directory);
    case Mode::smtp:
        return become(command, paths.daemon_directory + "/smtpd", {"smtpd", "-S"}, directory);
    case Mode::list_queue:
        return become(command, paths.command_directory + "/postqueue", {"postqueue", "-p"}, directory);
    case Mode::flush: {
        std::vector<std::string> arguments{"postqueue"};
        arguments.insert(arguments.end(), call.flush_options.begin(), call.flush_options.end());
        return become(command, paths.command_directory + "/postqueue", arguments, directory);
    }
    case Mode::aliases:
        return rebuild_aliases(command, *config, call, directory);
    case Mode::start:
        return become(command, paths.command_directory + "/bulkhead", {"bulkhead", "start"}, directory);
    case Mode::start_foreground:
        return become(command, paths.command_directory + "/bulkhead", {"bulkhead", "start-fg"}, directory);
    case Mode::nothing:
        return EX_OK;
    }
    return EX_SOFTWARE;
}

} // namespace

} // namespace bulkhead

int main(int argc, char** argv)
{
    return bulkhead::run(argc, argv);
}
