// One client's dialogue (RFC 5321): reads commands, answers them, counts errors.
// Commands are a table of names and member coroutines; what they decide with is in
// Policy, what they store with in Transaction and MessageSink.
#pragma once

#include "client_attributes.h"
#include "disk_space.h"
#include "params.h"
#include "peer.h"
#include "policy.h"
#include "protocol_tables.h"
#include "session_report.h"
#include "transaction.h"

#include "async/stream.h"
#include "async/task.h"
#include "ipc/channel.h"
#include "smtp/command.h"
#include "smtp/data_reader.h"
#include "smtp/reply.h"

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

class ClientLimits;
class MilterPolicy;
class ServerSasl;
class ServerTls;
struct Login;
namespace sasl
{
struct AuthRequest;
}
class SessionMilters;
namespace ipc
{
enum class ClientEvent : std::uint8_t;
struct SessionState;
} // namespace ipc
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
    starttls = 128,
    etrn = 256,
    xclient = 512,
    xforward = 1024,
    chunking = 2048,
    auth = 8192,
    xverp = 16384,
    silent = 4096 // no keyword: discard the others without a word in the log
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
    const ProtocolTables& tables;
    ipc::Service& flush;
    std::string myhostname;
    std::string mail_name;
    unsigned cleanup_flags = 0;      // of every message
    unsigned discarded_keywords = 0; // mask of Offer: not offered

    // smtpd -S: no client on the network, no restrictions; mail goes to maildrop/.
    bool standalone = false;

    const ServerTls* tls = nullptr;        // null: none
    MilterPolicy* milters = nullptr;       // null: no mail filters
    ServerSasl* sasl = nullptr;            // null: none
    ClientLimits* limits = nullptr;        // null: none is set
    const ReportPolicy* reports = nullptr; // null: the postmaster is told of nothing
    PolicyServer* before_queue = nullptr;  // smtpd_proxy_filter; null: none
};

class SmtpSession
{
public:
    // begun: what was said before the session came here; giver: whom to ask about recipients then.
    SmtpSession(Stream& client, SmtpdService& service, ipc::SessionState* begun = nullptr,
                Stream* giver = nullptr);
    ~SmtpSession();

    // The whole dialogue; returns when the connection is to be closed.
    Task<> run();

private:
    // In the order in which the line at the end of a session counts them.
    enum class Verb {
        helo,
        ehlo,
        xclient,
        xforward,
        starttls,
        auth,
        mail,
        rcpt,
        data,
        bdat,
        rset,
        noop,
        vrfy,
        etrn,
        quit,
        unknown,
        count
    };
    static constexpr std::size_t verbs = static_cast<std::size_t>(Verb::count);

    struct Command {
        std::string_view name;
        Task<Reply> (SmtpSession::*answer)(std::string_view arguments);
        bool junk = false;       // smtpd_junk_command_limit
        bool ends_group = false; // RFC 2920, 3.1: the client must wait for the reply
        bool has_data = false;   // what follows the line is no command (RFC 3030, section 2)
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
    Task<Reply> welcome();
    Task<> read_proxy_header();
    Task<> obey(std::string line, bool complete, bool bare_newline);
    Task<Reply> answer(const Command& command, const CommandLine& line);
    Task<> say(Reply reply);
    void write(Reply reply);
    bool wants_footer() const;
    Task<> add_footer(Reply* reply);
    std::optional<std::string> footer_value(std::string_view name, const AccessSubject& about) const;
    Task<Result<std::string>> filter_command(std::string text);
    bool drop_early_input();
    void notice_pipelining(const Command& command);
    void end_with(const Error& error);
    void log_end() const;
    void log_event(std::string_view what, std::string_view where) const;
    void begin_wait();

    // ---- a session that another process has begun: handed_over.cc ----
    bool is_under_way() const;
    void take_client();
    Task<> go_on();
    Task<Reply> hear_again(std::string text);
    void owe(Reply reply);
    bool is_answered_by_debt(std::string_view command) const;
    Task<> start_promised_tls();
    Task<Reply> check_owner(std::string recipient);

    // ---- commands: commands.cc ----
    Task<Reply> helo(std::string_view arguments);
    Task<Reply> ehlo(std::string_view arguments);
    Task<Reply> xclient(std::string_view arguments);
    Task<Reply> xforward(std::string_view arguments);
    Task<Reply> starttls(std::string_view arguments);
    Task<Reply> auth(std::string_view arguments);
    Task<Reply> mail(std::string_view arguments);
    Task<Reply> rcpt(std::string_view arguments);
    Task<Reply> data(std::string_view arguments);
    Task<Reply> bdat(std::string_view arguments);
    Task<Reply> rset(std::string_view arguments);
    Task<Reply> noop(std::string_view arguments);
    Task<Reply> vrfy(std::string_view arguments);
    Task<Reply> etrn(std::string_view arguments);
    Task<Reply> quit(std::string_view arguments);
    Task<Reply> unknown(std::string_view arguments);

    Task<Reply> hello(std::string_view verb, std::string_view arguments, bool extended);
    std::vector<std::string> offers(std::string_view auth) const;
    bool is_offered(Offer offer) const { return (discarded_ & static_cast<unsigned>(offer)) == 0; }
    bool may_offer(Offer offer) const;
    Task<bool> choose_offers();
    CommandOptions command_options() const;
    Task<Result<>> open_message();
    Task<Result<>> open_filter(bool local);
    Task<Reply> finish_filtered(bool discard);
    std::string origin_note() const;
    Task<Verdict> check(Step step, const AccessSubject& subject);
    Task<Verdict> ask_milters(Step step, const AccessSubject& subject); // filtering.cc
    Reply milter_reply(const ipc::CleanupResult& result);
    AccessSubject subject(std::string_view stage);
    std::string_view instance();
    Reply refuse(const AccessSubject& subject, Reply reply);
    void reset_transaction();

    // ---- what one client may do in a time: limited.cc ----
    Task<bool> begin_counting();
    Task<> end_counting();
    Task<bool> does_too_much(ipc::ClientEvent event);
    Reply turned_away(std::string_view what) const;

    // ---- encryption: secure.cc ----
    Task<> begin_encrypted();
    Task<bool> start_tls();
    bool offers_tls() const;
    bool must_start_tls_before(std::string_view command) const;

    // ---- logins: authentication.cc ----
    bool is_encryption_missing() const;
    Task<std::string> auth_offer();
    Task<Reply> log_in(sasl::AuthRequest request);
    Task<std::optional<std::string>> read_response(const std::string& method, Reply& refusal);
    void log_failed_login(std::string_view method, std::string_view user, std::string_view reason) const;
    Reply login_failed(std::string_view method, std::string_view user, std::string_view reason);
    Reply login_broken(std::string_view method, std::string_view user, std::string_view reason);

    // ---- the message: message.cc ----
    Task<Reply> receive_message();
    Task<Reply> finish_message();
    void begin_content(DataReader::Framing framing);
    Task<> take_in(std::size_t bytes);
    void extend_deadline(std::size_t bytes);

    // ---- BDAT: chunking.cc ----
    Task<Reply> receive_chunk(std::uint64_t size, bool last);
    Task<bool> drop_chunk(std::uint64_t size);
    Task<Reply> begin_chunks();
    Task<Reply> begin_filtered();
    Task<Reply> admit_content(std::string_view command);
    void lose_client_in(std::string_view command, std::uint64_t bytes, const Error& error);

    std::string_view protocol() const;
    ClientFacts client_facts(std::string_view protocol, bool rewrite_headers) const;
    std::string label() const;

    Stream& stream_;
    SmtpdService& service_;
    ipc::SessionState* begun_;  // null: the session begins here
    Stream* giver_;             // null: all recipients may come here
    std::optional<Reply> owed_; // the refusal of something that the client believes accepted
    Peer peer_;
    std::unique_ptr<tls::Facts> tls_; // of an encrypted session
    std::unique_ptr<Login> login_;    // by AUTH or XCLIENT
    std::string helo_;
    Forwarded forwarded_;                                            // of XFORWARD, for one message
    enum class Chunks { none, open, failed } chunks_ = Chunks::none; // of BDAT
    std::uint64_t mail_bytes_ = 0;                                   // of the message's chunks
    SteadyTime data_deadline_{};
    std::unique_ptr<Transaction> transaction_;
    std::unique_ptr<SessionMilters> milters_; // null: none
    std::string instance_;                    // names this message, or the one to come, to policy servers
    std::array<Tally, verbs> tallies_{};
    std::string_view where_ = "CONNECT"; // the last command, for log lines
    std::string_view verb_;              // the command being answered, as written
    unsigned discarded_;                 // EHLO keywords not offered
    int errors_ = 0;
    int junk_ = 0;
    int failed_logins_ = 0;
    bool counted_ = false;  // client limits apply
    bool extended_ = false; // EHLO
    bool may_xclient_ = false;
    bool may_xforward_ = false;
    bool may_xverp_ = false;
    bool refused_by_milter_ = false; // the refusal that is about to be answered
    bool denied_ = false;            // refused at connect: only QUIT is left
    bool said_offers_ = false;       // the log has been told what is not offered
    bool closing_ = false;
    bool lost_ = false;     // nobody is there to be told
    bool pardoned_ = false; // the last refusal is no error
    bool broke_pipelining_ = false;
    bool traced_ = false; // the log shows the dialogue
    SessionReport report_;
    std::string ending_; // why the session ended before its time, for the report
};

} // namespace bulkhead
