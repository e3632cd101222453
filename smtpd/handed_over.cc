// A session that the front door has begun (ipc/hand_over.h): everything that it has heard is
// heard again here, without a word to the client, before the first command that it has left
// unanswered.
#include "session.h"

#include "login.h"
#include "server_tls.h"

#include "base/text.h"
#include "ipc/hand_over.h"
#include "log/log.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace bulkhead
{

void SmtpSession::take_client()
{
    if (begun_->client_address.empty())
        return;
    peer_ = Peer();
    peer_.network = true;
    peer_.v6 = begun_->v6;
    peer_.address = begun_->client_address;
    peer_.port = begun_->client_port;
    peer_.server_address = begun_->server_address;
    peer_.server_port = begun_->server_port;
}

bool SmtpSession::is_under_way() const
{
    return begun_ != nullptr && begun_->stage != ipc::SessionState::Stage::greeting;
}

// In place of the greeting, which the client has seen.
Task<> SmtpSession::go_on()
{
    may_xclient_ = co_await service_.tables.xclient_hosts.contains(peer_);
    may_xforward_ = co_await service_.tables.xforward_hosts.contains(peer_);
    may_xverp_ = co_await service_.tables.verp_clients.contains(peer_);
    if (begun_->tls)
        tls_ = std::make_unique<tls::Facts>(*begun_->tls);
    if (tls_ && service_.tls)
        service_.tls->log_success(label(), *tls_);
    Reply reply = co_await welcome();
    owe(std::move(reply));
    for (const std::string& line : begun_->answered) {
        if (closing_ || owed_)
            break;
        reply = co_await hear_again(line);
        owe(std::move(reply));
    }
    if (!closing_ && begun_->stage == ipc::SessionState::Stage::handshake)
        co_return co_await start_promised_tls();
    stream_.give_back(begun_->unread);
    begun_->wipe();
}

Task<Reply> SmtpSession::hear_again(std::string text)
{
    report_.heard(text);
    if (!service_.tables.command_filter.empty()) {
        auto filtered = co_await filter_command(std::move(text));
        if (!filtered) {
            log::warn(filtered.error().context);
            co_return Reply(421, "4.3.0", service_.myhostname + " Server local data error");
        }
        text = *std::move(filtered);
    }
    const CommandLine line = split_command(text);
    co_return co_await answer(find_command(line.verb), line);
}

// A refusal of what the client believes to be accepted becomes the answer to what it asks next.
void SmtpSession::owe(Reply reply)
{
    if (reply.code == 421 || reply.code == 521)
        write(std::move(reply));
    else if (reply.code != 0 && !reply.ok())
        owed_ = std::move(reply);
}

bool SmtpSession::is_answered_by_debt(std::string_view command) const
{
    constexpr std::array<std::string_view, 5> free = {"HELO", "EHLO", "RSET", "NOOP", "QUIT"};
    return owed_ && std::ranges::find(free, command) == free.end();
}

// The client has got the 220 of STARTTLS already.
Task<> SmtpSession::start_promised_tls()
{
    where_ = "STARTTLS";
    Tally& tally = tallies_[static_cast<std::size_t>(Verb::starttls)];
    ++tally.all;
    // An XCLIENT that is not believed here cannot be refused any more either.
    const bool believed = !owed_ || begun_->answered.empty();
    if (!believed || !offers_tls() || !service_.tls->context()) {
        log::warn(fmt::format("{}: the front door has promised {}, which is not available here", label(),
                              believed ? "TLS" : "XCLIENT"));
        closing_ = lost_ = true;
        co_return;
    }
    const bool encrypted = co_await start_tls();
    if (encrypted)
        ++tally.good;
}

// Whether this environment has the recipient too, where its session came for the sake of another
// one; a reply with code 0: it has.
Task<Reply> SmtpSession::check_owner(std::string recipient)
{
    if (recipient == begun_->recipient)
        co_return Reply();
    const ipc::RecipientOwner owner = co_await ipc::ask_owner(*giver_, recipient);
    if (owner == ipc::RecipientOwner::here)
        co_return Reply();
    const std::string shown = external_form(recipient);
    if (owner == ipc::RecipientOwner::unknown)
        co_return Reply(451, "4.3.0", fmt::format("<{}>: Temporary lookup failure", shown));
    pardoned_ = true;
    if (transaction_->recipients > 0)
        co_return Reply(452, "4.5.3", fmt::format("<{}>: send this recipient separately", shown));
    // Another transaction of this session would come here again.
    co_return Reply(421, "4.3.2",
                    fmt::format("{} Error: <{}> needs another session", service_.myhostname, shown));
}

} // namespace bulkhead
