// sendmail, mailq and newaliases: the commands that programs have used for forty years to
// send mail.  Without any rights of its own: postdrop takes the message.  Exit codes as
// those of Postfix 3.7: nearly everything that goes wrong is 75, "try again later".
#include "base/text.h"
#include "command.h"
#include "config/install_paths.h"
#include "ipc/cleanup.h"
#include "local_user.h"
#include "mail/address.h"
#include "postdrop_client.h"
#include "sendmail_options.h"
#include "submission_addresses.h"

#include <signal.h>
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

Exit codes: 0; 65 line break in an address; 69 the queue cannot be seen; 71 no login name;
75 everything else, so that a caller who knows only "later" keeps his message.
)";

// Who calls whom, and with what.
struct Sendmail {
    Command command{"sendmail"};
    SendmailCall call;
    std::optional<std::string> directory; // -C, without "/main.cf"
    Config config;

    int fail(std::string_view text) const { return command.fail(EX_TEMPFAIL, text); }
    int fail_about_sender(std::string_view text) const
    {
        return fail(fmt::format("{}({}): {}", call.envelope.sender, ::getuid(), text));
    }
};

std::string folder_of(std::string path)
{
    for (const std::string_view file : {"/main.cf", "/sendmail.cf"})
        if (path.ends_with(file))
            return path.substr(0, path.size() - file.size());
    return path;
}

LineEndings line_endings(const Config& config)
{
    const std::string value = config.get("sendmail_fix_line_endings");
    return value == "never"    ? LineEndings::never
           : value == "strict" ? LineEndings::strict
                               : LineEndings::always;
}

// Completes the envelope.  nullopt: it is good; else the exit code of what was said.
std::optional<int> address(Sendmail& self)
{
    SubmissionEnvelope& envelope = self.call.envelope;
    for (const std::string& operand : self.call.operands) {
        auto found = recipient_addresses(operand);
        if (!found)
            return self.command.fail(EX_DATAERR, found.error().context);
        envelope.recipients.insert(envelope.recipients.end(), found->begin(), found->end());
    }
    const auto user = login_name();
    if (!user && !self.call.sender)
        return self.command.fail(EX_OSERR,
                                 fmt::format("unable to find out your login name (uid {})", ::getuid()));
    auto sender = sender_address(self.call.sender.value_or(user.value_or("")));
    if (!sender)
        return self.command.fail(EX_DATAERR, sender.error().context);
    envelope.sender = *std::move(sender);
    if (!envelope.full_name)
        envelope.full_name = full_name_of_caller();
    if (!is_one_line(*envelope.full_name))
        return self.command.fail(EX_DATAERR, "line break in a full name");
    if (self.call.wants_verp && envelope.sender.empty())
        return self.fail_about_sender("-V option requires non-null sender address");
    const std::string characters = self.config.get("verp_delimiter_filter");
    if (envelope.verp.find_first_not_of(characters) != envelope.verp.npos)
        return self.fail("-V requires two characters from " + characters);
    if (self.call.wants_verp && envelope.verp.empty())
        envelope.verp = self.config.get("default_verp_delimiters");
    return std::nullopt;
}

// The message of -bv: never delivered, so its text does not matter much.
std::string probe_text(const SubmissionEnvelope& envelope)
{
    std::string text = fmt::format("From: {}\nSubject: probe\nTo:", external_form(envelope.sender));
    std::string_view separator = "\n\t";
    for (const std::string& recipient : envelope.recipients) {
        text += fmt::format("{}{}", separator, external_form(recipient));
        separator = ",\n\t";
    }
    return text + '\n';
}

// What postdrop's answer means to the caller.
int conclude(const Sendmail& self, PostdropClient& postdrop)
{
    namespace status = ipc::cleanup_status;
    const PostdropClient::Answer answer = postdrop.finish();
    if (!answer.status)
        return self.fail_about_sender("no answer from postdrop");
    if (*answer.status == status::ok)
        return EX_OK;
    const std::string_view standard =
        *answer.status & status::too_big ? "Message file too big" : "queue file write error";
    if (*answer.status & status::not_permitted)
        return self.fail(answer.reason.empty() ? "not allowed to submit mail" : answer.reason);
    return self.fail_about_sender(answer.reason.empty() ? standard : answer.reason);
}

// Moves a message from standard input, or a probe, to postdrop.
class Submission
{
public:
    Submission(const Sendmail& self, SubmissionRules rules, PostdropClient postdrop)
        : self_(self), writer_(self.call.envelope, rules), postdrop_(std::move(postdrop))
    {
    }

    // Exit code.  What returns early closes the pipe before an end record: postdrop then
    // forgets the message.
    int run()
    {
        const Result<> fed = self_.call.mode == SendmailMode::verify
                                 ? pass(writer_.feed(probe_text(self_.call.envelope)))
                                 : feed_input();
        const Result<> done = fed ? pass(writer_.finish()) : fed;
        if (!done && done.error().fault != Fault::io)
            return self_.fail_about_sender(done.error().context);
        return conclude(self_, postdrop_);
    }

private:
    Result<> feed_input()
    {
        std::array<char, 64 * 1024> block;
        while (!writer_.is_ended()) {
            const ssize_t n = ::read(STDIN_FILENO, block.data(), block.size());
            if (n < 0 && errno == EINTR)
                continue;
            if (n < 0)
                return Error{Fault::malformed, system_error("read standard input").context};
            if (n == 0)
                break;
            TRY_VOID(pass(writer_.feed({block.data(), static_cast<std::size_t>(n)})));
        }
        return {};
    }

    Result<> pass(Result<> made)
    {
        if (!made || writer_.output().empty())
            return made;
        const auto written = postdrop_.write(writer_.output());
        writer_.output().clear();
        return written;
    }

    const Sendmail& self_;
    SubmissionWriter writer_;
    PostdropClient postdrop_;
};

int send(Sendmail& self)
{
    if (const auto code = address(self))
        return *code;
    ::signal(SIGPIPE, SIG_IGN);
    SubmissionRules rules;
    rules.dot_ends = !self.call.dots_are_text;
    rules.endings = line_endings(self.config);
    rules.size_limit = self.config.get_int("message_size_limit").value_or(0);
    auto postdrop = PostdropClient::start(install_paths().command_directory + "/postdrop", self.directory);
    if (!postdrop)
        return self.fail(postdrop.error().context);
    const int code = Submission(self, rules, *std::move(postdrop)).run();
    if (code == EX_OK && self.call.envelope.trace_flags != 0)
        fmt::print("Mail Delivery Status Report will be mailed to <{}>.\n",
                   printable(external_form(self.call.envelope.sender)));
    return code;
}

int become(const Sendmail& self, const std::string& program, const std::vector<std::string>& arguments)
{
    if (self.directory)
        ::setenv("MAIL_CONFIG", self.directory->c_str(), 1);
    std::vector<char*> argv;
    argv.reserve(arguments.size() + 1);
    for (const std::string& argument : arguments)
        argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    ::execv(program.c_str(), argv.data());
    return self.fail(system_error(program).context);
}

int become_command(const Sendmail& self, const std::vector<std::string>& arguments)
{
    return become(self, fmt::format("{}/{}", install_paths().command_directory, arguments.front()),
                  arguments);
}

int rebuild_aliases(const Sendmail& self)
{
    std::vector<std::string> arguments{"postalias", "--"};
    if (!self.call.alias_database.empty())
        arguments.push_back(self.call.alias_database);
    else
        for (std::string& database : self.config.get_list("alias_database"))
            arguments.push_back(std::move(database));
    return arguments.size() == 2 ? EX_OK : become_command(self, arguments);
}

int flush(const Sendmail& self)
{
    std::vector<std::string> arguments{"postqueue"};
    arguments.insert(arguments.end(), self.call.flush_options.begin(), self.call.flush_options.end());
    return become_command(self, arguments);
}

int start(const Sendmail& self)
{
    if (!self.command.is_root())
        return self.fail("only root can start the mail system");
    return become_command(self, {"bulkhead", "start"});
}

int perform(Sendmail& self)
{
    switch (self.call.mode) {
    case SendmailMode::send:
    case SendmailMode::verify:
        return send(self);
    case SendmailMode::smtp:
        return become(self, install_paths().daemon_directory + "/smtpd", {"smtpd", "-S"});
    case SendmailMode::list_queue:
        return become_command(self, {"postqueue", "-p"});
    case SendmailMode::flush:
        return flush(self);
    case SendmailMode::aliases:
        return rebuild_aliases(self);
    case SendmailMode::start:
        return start(self);
    case SendmailMode::nothing:
    case SendmailMode::help:
        return EX_OK;
    }
    return EX_SOFTWARE;
}

int run(int argc, char** argv)
{
    Sendmail self;
    self.call = parse_sendmail_call(argc, argv);
    if (self.call.mode == SendmailMode::help) {
        std::fputs(help_text.data(), stdout);
        return EX_OK;
    }
    if (!self.call.fault.empty())
        return self.fail(self.call.fault);
    for (const std::string& warning : self.call.warnings)
        self.command.say(Severity::warning, warning);
    if (self.call.directory)
        self.directory = folder_of(*self.call.directory);
    auto config = self.command.load_config(self.directory);
    if (!config)
        return self.fail(config.error().context);
    self.config = *std::move(config);
    return perform(self);
}

} // namespace

} // namespace bulkhead

int main(int argc, char** argv)
{
    return bulkhead::run(argc, argv);
}
