// One client's dialogue (RFC 5321): reads commands, answers them, counts errors.
// Commands are a table of names and member coroutines; what they decide with is in
// Policy, what they store with in Transaction and MessageSink.
#pragma once

#include "disk_space.h"
#include "params.h"
#include "peer.h"
#include "policy.h"
#include "transaction.h"

#include "async/stream.h"
#include "async/task.h"
#include "ipc/channel.h"
#include "smtp/command.h"
#include "smtp/reply.h"

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

class ServerTls;
namespace tls
{
struct Facts;
}

// What EHLO offers, as bits of a mask.
enum class Offer : unsigned {
    pipelining = 1,
    size = 2,
    vrfy = 4,
    status = 8,
    eightbit = 16,
    dsn = 32,
    utf8 = 64,
    starttls = 128
};

// The mask of the keywords in such a list (smtpd_discard_ehlo_keywords), any case;
// words that we never offer are passed over.
unsigned offers_in(const std::vector<std::string>& keywords);

// What all sessions of a worker share; outlives them.
struct SmtpdService {
    const SmtpdParams& params;
    const Policy& policy;
    ipc::Service& cleanup;
    DiskSpace& disk;
    const MatchList& forbidden_commands;
    const MatchList& noop_commands;
    std::string myhostname;
    std::string mail_name;
    unsigned cleanup_flags = 0;      // of every message
    unsigned discarded_keywords = 0; // mask of Offer: not offered

    // smtpd -S: no client on the network, no restrictions; mail goes to maildrop/.
    bool standalone = false;

    const ServerTls* tls = nullptr; // null: none
};

class SmtpSession
{
public:
    SmtpSession(Stream& client, SmtpdService& service);
    ~SmtpSession();

    // The whole dialogue; returns when the connection is to be closed.
    Task<> run();

private:
    // In the order in which the line at the end of a session counts them.
    enum class Verb { helo, ehlo, starttls, auth, mail, rcpt, data, rset, noop, vrfy, quit, unknown, count };
    static constexpr std::size_t verbs = static_cast<std::size_t>(Verb::count);

    struct Command {
        std::string_view name;
        Task<Reply> (SmtpSession::*answer)(std::string_view arguments);
        bool junk = false;       // smtpd_junk_command_limit
        bool ends_group = false; // RFC 2920, 3.1: the client must wait for the reply
    };
    static const std::array<Command, verbs> commands_;
    static const Command& find_command(std::string_view verb);

    struct Tally {
        std::uint32_t good = 0;
        std::uint32_t all = 0;
    };

    // ---- the dialogue: session.cc ----
    Task<> find_client_name();
    Task<> greet();
    Task<> obey(std::string line, bool complete, bool bare_newline);
    Task<Reply> answer(const Command& command, const CommandLine& line);
    Task<> say(Reply reply);
    void write(Reply reply);
    bool drop_early_input();
    void notice_pipelining(const Command& command);
    void end_with(const Error& error);
    void log_end() const;
    void log_event(std::string_view what, std::string_view where) const;
    void begin_wait();

    // ---- commands: commands.cc ----
    Task<Reply> helo(std::string_view arguments);
    Task<Reply> ehlo(std::string_view arguments);
    Task<Reply> starttls(std::string_view arguments);
    Task<Reply> auth(std::string_view arguments);
    Task<Reply> mail(std::string_view arguments);
    Task<Reply> rcpt(std::string_view arguments);
    Task<Reply> data(std::string_view arguments);
    Task<Reply> rset(std::string_view arguments);
    Task<Reply> noop(std::string_view arguments);
    Task<Reply> vrfy(std::string_view arguments);
    Task<Reply> quit(std::string_view arguments);
    Task<Reply> unknown(std::string_view arguments);

    Task<Reply> hello(std::string_view verb, std::string_view arguments, bool extended);
    std::vector<std::string> offers() const;
    bool is_offered(Offer offer) const { return (discarded_ & static_cast<unsigned>(offer)) == 0; }
    CommandOptions command_options() const;
    Task<Result<>> open_message();
    Task<Verdict> check(Step step, const AccessSubject& subject);
    AccessSubject subject(std::string_view stage);
    std::string_view instance();
    Reply refuse(const AccessSubject& subject, Reply reply);
    void reset_transaction();

    // ---- encryption: secure.cc ----
    Task<> begin_encrypted();
    Task<bool> start_tls();
    bool offers_tls() const;
    bool must_start_tls_before(std::string_view command) const;

    // ---- the message: message.cc ----
    Task<Reply> receive_message();
    Task<Reply> finish_message(const class DataReader& reader);
    void begin_content();

    std::string_view protocol() const;
    std::string label() const;

    Stream& stream_;
    SmtpdService& service_;
    Peer peer_;
    std::unique_ptr<tls::Facts> tls_; // of an encrypted session
    std::string helo_;
    std::unique_ptr<Transaction> transaction_;
    std::string instance_; // names this message, or the one to come, to policy servers
    std::array<Tally, verbs> tallies_{};
    std::string_view where_ = "CONNECT"; // the last command, for log lines
    std::string_view verb_;              // the command being answered, as written
    unsigned discarded_;                 // EHLO keywords not offered
    int errors_ = 0;
    int junk_ = 0;
    bool extended_ = false; // EHLO
    bool denied_ = false;   // refused at connect: only QUIT is left
    bool closing_ = false;
    bool lost_ = false;     // nobody is there to be told
    bool pardoned_ = false; // the last refusal is no error
    bool broke_pipelining_ = false;
};

} // namespace bulkhead
