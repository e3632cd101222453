// What others say of a client: a load balancer in a PROXY header in front of the dialogue,
// a filter or a test with XCLIENT and XFORWARD in it; and ETRN, where a client asks for others' mail.
#include "session.h"

#include "login.h"

#include "base/text.h"
#include "ipc/flush.h"
#include "log/log.h"
#include "mail/address.h"
#include "smtp/proxy_header.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

// Where a header may come, but need not: proxies send it with their first packet.
constexpr Milliseconds optional_header_time{1000};

constexpr std::size_t shown_header = 100; // bytes of a bad one in a log line

void tell_of(const ProxyHeader& header, Peer& peer)
{
    if (!header.told)
        return;
    peer.network = true;
    peer.v6 = header.v6;
    peer.address = header.client.address;
    peer.port = header.client.port;
    peer.server_address = header.server.address;
    peer.server_port = header.server.port;
}

std::string shown(std::string_view bytes)
{
    std::string out;
    for (const char c : bytes.substr(0, shown_header))
        out += c == '\r' ? "\\r" : c == '\n' ? "\\n" : c >= ' ' && c <= '~' ? std::string(1, c) : "?";
    return out;
}

} // namespace

// Everybody must send one where smtpd_upstream_proxy_protocol says so; where clients are only
// allowed to, the others are served as they come.  Nothing but the header is taken: TLS may follow.
Task<> SmtpSession::read_proxy_header()
{
    if (service_.standalone)
        co_return;
    const bool must = !service_.params.upstream_protocol().empty();
    bool may = must;
    if (!must)
        may = co_await service_.tables.upstream_proxies.contains(peer_);
    if (!may)
        co_return;
    std::array<char, proxy_header_limit> room;
    std::string_view bytes;
    std::string problem;
    const Milliseconds time = must ? Milliseconds(service_.params.upstream_timeout()) : optional_header_time;
    stream_.set_deadline(SteadyClock::now() + time);
    for (std::size_t wanted = 1; problem.empty(); wanted = bytes.size() + 1) {
        const auto seen = co_await stream_.see(wanted);
        bytes = seen ? std::string_view(room.data(), stream_.peek(room)) : bytes;
        const auto header = parse_proxy_header(bytes);
        if (!must && (!seen || !may_be_proxy_header(bytes)))
            break;
        if (!seen)
            problem = seen.error().fault == Fault::timeout ? "timeout error" : "unexpected EOF";
        else if (!header)
            problem = header.error().context;
        else if (*header) {
            tell_of(**header, peer_);
            (void)stream_.drop_peeked((*header)->size);
            break;
        }
    }
    stream_.clear_deadline();
    if (problem.empty())
        co_return;
    log::warn(fmt::format("haproxy read: {}: {}", problem, shown(bytes)));
    // What could not be read is not to be read as commands, nor to reset the connection.
    (void)stream_.drop_peeked(bytes.size());
    closing_ = true;
    write(Reply(421, "4.3.2", service_.myhostname + " Error: bad or missing PROXY header"));
}

// XCLIENT: the session begins anew, with a client as told.
Task<Reply> SmtpSession::xclient(std::string_view arguments)
{
    if (transaction_)
        co_return Reply(503, "5.5.1", "Error: MAIL transaction in progress");
    if (!may_xclient_ || !is_offered(Offer::xclient))
        co_return Reply(550, "5.7.0", "Error: insufficient authorization");
    auto client = parse_xclient(arguments, peer_);
    if (!client)
        co_return client.error();
    reset_transaction();
    peer_ = std::move(client->peer);
    helo_ = client->helo.value_or("");
    extended_ = client->extended.value_or(false);
    if (client->login)
        login_ = client->login->empty() ? nullptr : std::make_unique<Login>(Login{"XCLIENT", *client->login});
    may_xclient_ = co_await service_.tables.xclient_hosts.contains(peer_);
    co_return co_await welcome();
}

Task<Reply> SmtpSession::xforward(std::string_view arguments)
{
    if (transaction_)
        co_return Reply(503, "5.5.1", "Error: MAIL transaction in progress");
    if (!may_xforward_ || !is_offered(Offer::xforward))
        co_return Reply(550, "5.7.0", "Error: insufficient authorization");
    auto client = parse_xforward(arguments, forwarded_);
    if (!client)
        co_return client.error();
    forwarded_ = *std::move(client);
    co_return Reply(250, "2.0.0", "Ok");
}

// ETRN (RFC 1985): the mail that waits for a site, which flush keeps a list of.
Task<Reply> SmtpSession::etrn(std::string_view arguments)
{
    if (!is_offered(Offer::etrn))
        co_return Reply(502, "5.5.1", "Error: command not implemented");
    if (helo_.empty() && service_.params.helo_required())
        co_return Reply(503, "Error: send HELO/EHLO first");
    if (transaction_)
        co_return Reply(503, "Error: MAIL transaction in progress");
    if (arguments.empty() || arguments.find_first_of(" \t") != std::string_view::npos)
        co_return Reply(500, "Syntax: ETRN domain");
    if (arguments.front() == '@' || arguments.front() == '#')
        arguments.remove_prefix(1);
    const bool literal = is_domain_literal(arguments) && literal_address(arguments);
    if (!literal && !is_valid_domain(arguments))
        co_return Reply(501, "Error: invalid parameter syntax");
    const std::string site = lower(arguments);
    AccessSubject about = subject("ETRN");
    about.etrn_domain = site;
    const Verdict verdict = co_await check(Step::etrn, about);
    if (verdict.refused())
        co_return refuse(about, verdict.reply());
    const ipc::FlushAnswer answer = co_await ipc::flush_site(service_.flush, site);
    switch (answer) {
    case ipc::FlushAnswer::started:
        co_return Reply(250, "Queuing started");
    case ipc::FlushAnswer::refused:
        co_return Reply(459, fmt::format("<{}>: service unavailable", arguments));
    case ipc::FlushAnswer::unavailable:
        break;
    }
    co_return Reply(458, "Unable to queue messages");
}

} // namespace bulkhead
