// STARTTLS and wrapper mode: how a session becomes an encrypted one (RFC 3207), and what it
// forgets then.
#include "session.h"

#include "login.h"
#include "server_tls.h"

#include "ipc/anvil.h"
#include "log/log.h"

#include <fmt/format.h>

namespace bulkhead
{

bool SmtpSession::offers_tls() const
{
    return service_.tls && service_.tls->is_enabled() && !tls_;
}

// Commands that need no encryption where it is mandatory (RFC 3207, section 4).
bool SmtpSession::must_start_tls_before(std::string_view command) const
{
    return offers_tls() && service_.tls->is_mandatory() && command != "HELO" && command != "EHLO" &&
           command != "STARTTLS" && command != "NOOP" && command != "QUIT";
}

Task<Reply> SmtpSession::starttls(std::string_view arguments)
{
    if (!arguments.empty())
        co_return Reply(501, "5.5.4", "Syntax: STARTTLS");
    if (!service_.tls || !service_.tls->is_enabled())
        co_return Reply(502, "5.5.1", "Error: command not implemented");
    if (tls_)
        co_return Reply(554, "5.5.1", "Error: TLS already active");
    if (!service_.tls->context())
        co_return Reply(454, "4.7.0", "TLS not available due to local problem");
    const bool too_many = co_await does_too_much(ipc::ClientEvent::tls_rate);
    if (too_many)
        co_return Reply(454, "4.7.0", "Error: too many new TLS sessions from " + peer_.address);
    write(Reply(220, "2.0.0", "Ready to start TLS"));
    const bool encrypted = co_await start_tls();
    if (encrypted)
        ++tallies_[static_cast<std::size_t>(Verb::starttls)].good;
    co_return Reply(); // the next word is the client's
}

// False: the session is over.
Task<bool> SmtpSession::start_tls()
{
    const ServerTls& server = *service_.tls;
    stream_.clear_deadline();
    stream_.set_timeout(server.params().starttls_timeout());
    const auto sent = co_await stream_.flush();
    if (!sent) {
        end_with(sent.error());
        co_return false;
    }
    server.log_attempt(label());
    auto made = server.context()->accept(stream_.fd());
    const tls::Connection& connection = *made;
    stream_.upgrade(std::move(made)); // what came behind STARTTLS in clear is gone
    const auto shaken = co_await stream_.handshake();
    stream_.set_timeout(service_.params.timeout());
    if (!shaken) {
        if (shaken.error().fault != Fault::cancelled)
            ServerTls::log_failure(label(), shaken.error());
        closing_ = lost_ = true;
        log_event("lost connection", where_);
        co_return false;
    }
    tls_ = std::make_unique<tls::Facts>(connection.facts());
    server.log_success(label(), *tls_);
    bool too_many = false;
    if (!tls_->resumed)
        too_many = co_await does_too_much(ipc::ClientEvent::new_tls);
    if (too_many) {
        write(turned_away("new TLS sessions"));
        co_return false;
    }
    // RFC 3207, 4.2: nothing that was said in clear is known any more.
    reset_transaction();
    login_.reset();
    helo_.clear();
    extended_ = false;
    if (server.requires_certificate() && !tls_->trusted) {
        log::info(fmt::format("NOQUEUE: abort: TLS from {}: {}", label(),
                              tls_->has_certificate ? "Client certificate not trusted"
                                                    : "No client certificate presented"));
        write(Reply(421, "4.7.1", service_.myhostname + " Error: Client TLS authentication failed"));
        co_return false;
    }
    co_return true;
}

// Wrapper mode: TLS before the greeting.
Task<> SmtpSession::begin_encrypted()
{
    if (service_.standalone || !service_.tls || !service_.tls->is_wrapped())
        co_return;
    if (!service_.tls->context()) {
        closing_ = lost_ = true; // there is no way to tell this client
        log_event("lost connection", where_);
        co_return;
    }
    (void)co_await start_tls();
}

} // namespace bulkhead
