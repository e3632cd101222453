#include "sendmail_options.h"

#include "base/text.h"
#include "mail/dsn.h"
#include "spool/envelope.h"

#include <unistd.h>

#include <algorithm>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

void take_mode(SendmailCall& call, std::string_view mode)
{
    const char letter = mode.empty() ? '\0' : mode.front();
    switch (letter) {
    case 's':
        call.mode = SendmailMode::smtp;
        break;
    case 'p':
        call.mode = SendmailMode::list_queue;
        break;
    case 'i':
        call.mode = SendmailMode::aliases;
        break;
    case 'v':
        call.mode = SendmailMode::verify;
        break;
    case 'd':
    case 'l':
        call.mode = SendmailMode::start;
        break;
    case 'h': // host status, never kept
    case 'H':
        call.mode = SendmailMode::nothing;
        break;
    case 'm':
        break;
    default:
        call.fault = fmt::format("unsupported: -b{}", letter == '\0' ? "" : mode.substr(0, 1));
    }
}

// -q takes its argument only when it is written together with it.
void take_flush(SendmailCall& call, std::string_view what)
{
    if (!what.empty() && is_digit(what.front())) { // an interval is the queue manager's affair
        call.mode = SendmailMode::nothing;
        return;
    }
    call.mode = SendmailMode::flush;
    const std::string value(what.empty() ? what : what.substr(1));
    if (what.empty())
        call.flush_options = {"-f"};
    else if (what.front() == 'I' && !value.empty())
        call.flush_options = {"-i", value};
    else if ((what.front() == 'R' || what.front() == 'S') && !value.empty())
        call.flush_options = {"-s", value};
    else
        call.fault = fmt::format("-q{}: specify -q, -qIqueueid, -qRsite or -qSsite", what);
}

void take_old_option(SendmailCall& call, std::string_view option)
{
    if (option == "i")
        call.dots_are_text = true;
    else if (option.starts_with('A') && option.size() > 1)
        call.alias_database = option.substr(1);
}

void take_body_type(SendmailCall& call, std::string_view type)
{
    if (type == "7BIT")
        call.envelope.encoding = "7bit";
    else if (type == "8BITMIME")
        call.envelope.encoding = "8bit";
    else
        call.fault = "-B option needs 8BITMIME or 7BIT";
}

void take_verp(SendmailCall& call, std::string_view delimiters)
{
    call.wants_verp = true;
    call.envelope.verp = delimiters;
    if (!delimiters.empty() && delimiters.size() != 2)
        call.fault = "-XV requires two characters";
}

// An envelope id, and before Postfix 2.3 what -XV is now: without a value, or joined to
// two delimiters.
void take_envelope_id(SendmailCall& call, std::string_view id, bool joined)
{
    const bool delimiters = id.size() == 2 && id.find_first_not_of("-=+") == id.npos;
    if (id.starts_with('-') || delimiters || has_8bit(id)) {
        call.warnings.push_back("option -V is deprecated with Postfix 2.3; specify -XV instead");
        if (!joined)
            --optind; // it is the next word after all
        return take_verp(call, joined ? id : std::string_view());
    }
    if (id.empty() || printable(id) != id)
        call.warnings.push_back("bad syntax in -V option value -- ignored");
    else if (id.size() > envid_limit)
        call.warnings.push_back("too long -V option value -- ignored");
    else
        call.envelope.envelope_id = id;
}

template <typename T, typename Target>
void take_word(SendmailCall& call, Result<T> parsed, Target& target, char option)
{
    if (parsed)
        target = static_cast<Target>(*parsed);
    else
        call.warnings.push_back(fmt::format("bad -{} option value -- ignored", option));
}

void take_option(SendmailCall& call, int option, std::string_view value)
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
        call.envelope.full_name = value;
        return;
    case 'f':
    case 'r':
        call.sender = value;
        return;
    case 'G':
        call.envelope.remote = true;
        return;
    case 'I':
        call.mode = SendmailMode::aliases;
        return;
    case 'i':
        call.dots_are_text = true;
        return;
    case 'N':
        return take_word(call, parse_notify(value), call.envelope.notify, 'N');
    case 'n':
        call.fault = "-n option not supported";
        return;
    case 'o':
        return take_old_option(call, value);
    case 'q':
        return take_flush(call, value);
    case 'R':
        return take_word(call, parse_ret(value), call.envelope.ret_flags, 'R');
    case 't':
        call.envelope.header_recipients = true;
        return;
    case 'V':
        return take_envelope_id(call, value, optarg != nullptr && optarg[-1] == 'V');
    case 'X':
        if (!value.starts_with('V'))
            call.fault = fmt::format("unsupported: -X{}", value.substr(0, 1));
        else
            take_verp(call, value.substr(1));
        return;
    case '?':
        call.fault = "usage: sendmail [options] [recipient ...]";
        return;
    default: // accepted and of no meaning here: A a c e h L m O p U x
        return;
    }
}

// What no single option can see.
std::string contradiction(const SendmailCall& call)
{
    const bool sends = call.mode == SendmailMode::send;
    const bool verifies = call.mode == SendmailMode::verify;
    const bool has_words = !call.operands.empty();
    if (verifies && call.envelope.header_recipients)
        return "-t option cannot be used with -bv";
    if (verifies && call.envelope.notify != 0)
        return "-N option cannot be used with -bv";
    if (!sends && !verifies && call.envelope.header_recipients)
        return "-t can be used only in delivery mode";
    if (call.mode == SendmailMode::list_queue && has_words)
        return "display queue mode requires no recipient";
    if (call.mode == SendmailMode::flush && has_words)
        return "flush queue mode requires no recipient";
    if (call.mode == SendmailMode::aliases && has_words)
        return "alias initialization mode requires no recipient";
    if ((sends || verifies) && !has_words && !call.envelope.header_recipients)
        return "Recipient addresses must be specified on the command line or via the -t option";
    return {};
}

} // namespace

SendmailCall parse_sendmail_call(int argc, char** argv)
{
    SendmailCall call;
    const std::string_view path = argc > 0 ? argv[0] : "sendmail";
    const std::string_view program = path.substr(path.rfind('/') + 1);
    if (program == "mailq")
        call.mode = SendmailMode::list_queue;
    else if (program == "newaliases")
        call.mode = SendmailMode::aliases;
    if (argc == 2 && std::string_view(argv[1]) == "--help") {
        call.mode = SendmailMode::help;
        return call;
    }
    // '+': no option behind the first recipient.
    constexpr const char* options = "+A:B:C:F:GIL:N:O:R:UV:X:ab:ce:f:h:imno:p:q::r:tvx";
    ::opterr = 0;
    int verbosity = 0;
    for (int option = 0; call.fault.empty() && (option = ::getopt(argc, argv, options)) != -1;) {
        verbosity += option == 'v';
        take_option(call, option, optarg != nullptr ? optarg : "");
    }
    for (int i = ::optind; i < argc; ++i)
        call.operands.emplace_back(argv[i]);
    if (call.mode == SendmailMode::verify)
        call.envelope.trace_flags = trace_flag::verify_only;
    else if (verbosity == 1) // more of them ask for debugging lines, and for no report
        call.envelope.trace_flags = trace_flag::record;
    if (call.fault.empty())
        call.fault = contradiction(call);
    return call;
}

} // namespace bulkhead
