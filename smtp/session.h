// One connection to a server: greeting, EHLO, transactions (RFC 5321).  Says what
// became of each recipient; knows nothing of other hosts, queues or time.
#pragma once

#include "client_sasl.h"
#include "client_tls.h"

#include "async/stream.h"
#include "async/task.h"
#include "mail/error_classes.h"
#include "mail/transcript.h"
#include "message.h"
#include "outcome.h"
#include "params.h"
#include "smtp/ehlo.h"
#include "smtp/reply.h"
#include "table/table.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bulkhead
{

// What a transaction came to.
struct TransactionResult {
    // The kept connection was dead, or the server would not go on with it: nothing has
    // happened to the message, and a fresh connection may do better.
    bool stale = false;
    // One for each recipient of the envelope, in order; the deferred ones may be tried
    // elsewhere.
    std::vector<DeliveryStatus> statuses;
};

// What is special about one server, and about the message a session is opened for.
struct SessionHabits {
    std::vector<std::string> discarded; // EHLO words to overlook
    std::vector<std::string> pix_workarounds;
    bool may_be_pix = false;      // the message has waited long enough to try them
    TableList* replies = nullptr; // smtp_reply_filter; outlives the session
};

namespace sasl
{
class ClientLogin;
}

class SmtpSession
{
public:
    SmtpSession(UniqueFd fd, Peer peer, const SmtpParams& params);

    // Before open().
    void set_habits(SessionHabits habits) { habits_ = std::move(habits); }

    // Before open(): the log tells of this session at this level more than of others.
    void trace(int level) { trace_level_ = level; }

    // Before open(): keeps what is said, for the postmaster.
    void record() { transcript_.emplace(); }
    // What went wrong since the last question, and all that was said.
    ErrorClasses take_errors() { return std::exchange(errors_, {}); }
    std::string transcript() const { return transcript_ ? transcript_->text() : std::string(); }

    // Greeting and EHLO, LHLO or HELO.  A status: there is no session (its reason is that of
    // every recipient).
    Task<std::optional<DeliveryStatus>> open();
    // The same, and STARTTLS with all that follows from the plan.
    Task<std::optional<DeliveryStatus>> open(ClientTls* tls, TlsPlan plan);
    // The same, and AUTH.
    Task<std::optional<DeliveryStatus>> open(ClientTls* tls, TlsPlan plan, const ClientSasl& sasl,
                                             LoginPlan login);

    // open() has failed in a TLS handshake.
    bool handshake_failed() const { return handshake_failed_; }
    // open() has failed because the server does not want this login, for good.
    const std::optional<PeerReply>& refused_login() const { return refused_login_; }
    // TlsPlan::key() of the plan it was opened with, and the user who has logged in.
    std::string plan_key() const { return session_key(plan_key_, login_); }
    static std::string session_key(const std::string& tls_key, const LoginPlan& login)
    {
        return login.is_wanted() ? tls_key + '\n' + login.user : tls_key;
    }

    // MAIL to the reply to the end of the text.  The envelope has recipients.
    Task<TransactionResult> transact(const OutgoingEnvelope& envelope, MessageText& text);

    // QUIT, without waiting for the reply when the parameters say so.
    Task<> quit();

    // In step and between two transactions: may be kept.
    bool is_reusable() const { return in_step_ && !stream_.peer_closed(); }
    // A refusal of the text may have come before its end, and the rest of the text been
    // taken for commands: what follows it may be the answers to those.
    bool may_take_another() const { return is_reusable() && !refused_text_; }
    // False: the policy does not want this connection to be kept.
    bool may_be_kept() const { return protection_ == Protection::none || keeps_connection_; }
    // The peer has closed, as far as is known without asking.
    bool is_dead() const { return stream_.peer_closed(); }

    const Peer& peer() const { return peer_; }
    int uses() const { return uses_; }
    SteadyTime opened() const { return opened_; }
    const Capabilities& capabilities() const { return capabilities_; }

private:
    struct Transaction;

    Task<std::optional<DeliveryStatus>> greet();
    Task<std::optional<DeliveryStatus>> introduce();
    Task<std::optional<DeliveryStatus>> introduce_with(std::string verb, std::string_view doing);
    void look_for_pix(const PeerReply& greeting);
    Task<std::optional<DeliveryStatus>> ask_for_tls(ClientTls& tls, const TlsPlan& plan);
    Task<std::optional<DeliveryStatus>> start_tls(ClientTls& tls, const TlsPlan& plan);

    // ---- authentication.cc ----
    Task<std::optional<DeliveryStatus>> log_in(const ClientSasl& sasl, const LoginPlan& plan);
    Task<std::optional<DeliveryStatus>> begin_login(sasl::ClientLogin& login, std::string mechanism);
    Task<bool> cancel_login();
    void say_secret(std::string shown, std::string command);

    void say(std::string command);
    Task<Result<PeerReply>> read_reply(Seconds time);
    Task<Result<PeerReply>> ask(std::string command, Seconds time);
    Task<std::string> filtered(std::string line);
    std::optional<PeerReply> last_words();

    std::optional<DeliveryStatus> unsuitable(const ipc::DeliveryRequest& request) const;
    std::string mail_command(const OutgoingEnvelope& envelope) const;
    std::string rcpt_command(const OutgoingEnvelope& envelope, std::size_t index) const;

    std::string envelope_address(const std::string& address) const;
    std::vector<std::string> xforward_commands(const OutgoingEnvelope& envelope) const;
    Task<> forward_client(Transaction& transaction);
    Task<> send_envelope(Transaction& transaction, MessageText& text);
    Task<> send_envelope_in_steps(Transaction& transaction);
    Task<Result<bool>> next_block(Transaction& transaction, MessageText& text);
    Task<> send_text(Transaction& transaction, MessageText& text);
    Task<> hold_back_end();
    Task<> take_end(Transaction& transaction);
    Task<> take_ends(Transaction& transaction);
    Task<> end_empty_text(Transaction& transaction);

    bool is_traced() const;
    void judge_reply(const PeerReply& reply);

    Stream stream_;
    Peer peer_;
    std::optional<Transcript> transcript_;
    ErrorClasses errors_;
    const SmtpParams& params_;
    Capabilities capabilities_;
    ReplyParser parser_;
    SteadyTime opened_;
    int uses_ = 0;
    int trace_level_ = 0;
    std::string plan_key_;
    LoginPlan login_;
    std::optional<PeerReply> refused_login_;
    Protection protection_ = Protection::none;
    bool keeps_connection_ = true;
    std::string channel_binding_; // of TLS (RFC 9266); empty: none
    SessionHabits habits_;
    bool delays_end_ = false; // PIX: the end mark travels alone
    bool speaks_helo_only_ = false;
    bool handshake_failed_ = false;
    bool speaks_esmtp_ = false;
    bool in_step_ = false;
    bool refused_text_ = false;
    bool needs_reset_ = false; // a transaction was begun and not ended
};

} // namespace bulkhead
